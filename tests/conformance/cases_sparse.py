"""Sparse and ragged ops."""
import numpy as np


def s(*values):
    return np.array(values, object)


I64 = lambda *v: np.array(v, np.int64)
I32 = lambda *v: np.array(v, np.int32)
MATRIX = np.array([[0, 1], [1, 0], [1, 2], [3, 1]], np.int64)
TYPES = [np.float32, np.float64, np.float16, np.int32, np.int64, np.int8, np.uint8, np.bool_, np.complex64]


def to_dense():
    for dtype in TYPES:
        values = np.array([1, 0, 3, 4]).astype(dtype)
        yield ("SparseToDense", {}, [MATRIX, I64(4, 3), values, np.array(1, dtype)])
    yield ("SparseToDense", {}, [MATRIX, I64(4, 3), s(b"a", b"b", b"c", b"d"), np.array(b"-", object)])
    one = np.array(5.0, np.float32)
    zero = np.array(0, np.float32)
    yield ("SparseToDense", {}, [np.array(3, np.int64), I64(5), one, zero])
    yield ("SparseToDense", {}, [I32(0, 2, 4), I32(5), one, zero])
    yield ("SparseToDense", {}, [I32(0, 2, 4), I32(5), np.array([1, 2, 3], np.float32), zero])
    yield ("SparseToDense", {}, [I32(2, 0), I32(5), one, zero])
    yield ("SparseToDense", {"validate_indices": False}, [I32(2, 0), I32(5), np.array([1, 2], np.float32), zero])
    yield ("SparseToDense", {}, [I32(2, 2), I32(5), one, zero])
    yield ("SparseToDense", {"validate_indices": False}, [I32(2, 2), I32(5), np.array([1, 2], np.float32), zero])
    yield ("SparseToDense", {}, [I32(5), I32(5), one, zero])
    yield ("SparseToDense", {}, [np.zeros((0, 2), np.int64), I64(2, 3), np.zeros((0,), np.float32), one])
    yield ("SparseToDense", {}, [np.zeros((0, 1), np.int64), I64(0), np.zeros((0,), np.float32), one])
    yield ("SparseToDense", {}, [MATRIX, I64(4, 3, 1), one, zero])


def arithmetic():
    for dtype in (np.float32, np.float64, np.int32, np.int64, np.complex64):
        values = np.array([1, 2, 3, 4]).astype(dtype)
        dense = np.arange(12).reshape(4, 3).astype(dtype)
        for index in (np.int32, np.int64):
            yield ("SparseTensorDenseAdd", {}, [MATRIX.astype(index), values, np.array([4, 3], index), dense])
        for a in (False, True):
            for b in (False, True):
                left, right = (4, 3) if not a else (3, 4), None
                inner = 4 if a else 3
                other = np.arange(inner * 2).reshape(2, inner) if b else np.arange(inner * 2).reshape(inner, 2)
                yield ("SparseTensorDenseMatMul", {"adjoint_a": a, "adjoint_b": b}, [MATRIX, values, I64(4, 3), other.astype(dtype)])
    yield ("SparseTensorDenseAdd", {}, [MATRIX, np.ones(4, np.float32), I64(4, 3), np.ones((3, 4), np.float32)])
    yield ("SparseTensorDenseAdd", {}, [np.zeros((0, 2), np.int64), np.zeros(0, np.float32), I64(2, 2), np.ones((2, 2), np.float32)])
    yield ("SparseTensorDenseMatMul", {}, [MATRIX, np.ones(4, np.float32), I64(4, 3), np.ones((4, 2), np.float32)])


def shapes():
    for new in ((12,), (2, 6), (-1, 2), (3, -1), (2, 2, 3), (5, -1), (7,), (-1, -1)):
        yield ("SparseReshape", {}, [MATRIX, I64(4, 3), I64(*new)])
    yield ("SparseReshape", {}, [np.zeros((0, 2), np.int64), I64(0, 3), I64(3, 0)])
    yield ("SparseReshape", {}, [np.zeros((0, 2), np.int64), I64(0, 3), I64(-1, 3)])
    for values in (np.array([1, 2, 3, 4], np.float32), s(b"a", b"b", b"c", b"d"), np.array([1, 2, 3, 4], np.int64), np.array([True] * 4)):
        fallback = np.array(b"-" if values.dtype == object else 0, values.dtype)
        yield ("SparseFillEmptyRows", {}, [MATRIX, values, I64(5, 3), fallback])
        yield ("SparseFillEmptyRows", {}, [MATRIX[[2, 0, 3, 1]], values, I64(5, 3), fallback])
        yield ("SparseReorder", {}, [MATRIX[[2, 0, 3, 1]], values, I64(5, 3)])
        yield ("SparseFillEmptyRows", {}, [MATRIX, values, I64(3, 3), fallback])
    zero = np.array(0, np.float32)
    yield ("SparseFillEmptyRows", {}, [np.zeros((0, 2), np.int64), np.zeros(0, np.float32), I64(3, 3), zero])
    yield ("SparseFillEmptyRows", {}, [np.zeros((0, 2), np.int64), np.zeros(0, np.float32), I64(0, 3), zero])
    yield ("SparseFillEmptyRows", {}, [np.array([[0, 0, 1], [2, 1, 0]]), np.ones(2, np.float32), I64(3, 3, 3), zero])


def sets():
    a = np.array([[1, 2, 2, 3], [4, 4, 4, 4]])
    b = np.array([[2, 5, 1], [9, 4, 0]])
    for operation in ("a-b", "b-a", "intersection", "union", "other"):
        for dtype in (np.int32, np.int64, np.uint8):
            yield ("DenseToDenseSetOperation", {"set_operation": operation}, [a.astype(dtype), b.astype(dtype)])
        yield ("DenseToDenseSetOperation", {"set_operation": operation}, [s(b"x", b"y"), s(b"y", b"z")])
        yield ("DenseToDenseSetOperation", {"set_operation": operation}, [a.reshape(2, 1, 4), b.reshape(2, 1, 3)])
        yield ("DenseToDenseSetOperation", {"set_operation": operation}, [a, b[:1]])


def ranges():
    for dtype in (np.int32, np.int64, np.float32, np.float64):
        for splits in ("int32", "int64"):
            yield ("RaggedRange", {"Tsplits": splits}, [np.array([0, 5, 8], dtype), np.array([3, 5, 2], dtype), np.array([1, 1, -2], dtype)])
        yield ("RaggedRange", {}, [np.array(0, dtype), np.array([3, 0, 4], dtype), np.array(2, dtype)])
        yield ("RaggedRange", {}, [np.array(0, dtype), np.array(5, dtype), np.array(1, dtype)])
        yield ("RaggedRange", {}, [np.array([0], dtype), np.array([5], dtype), np.array([0], dtype)])
        yield ("RaggedRange", {}, [np.array([0], dtype), np.array([5, 6], dtype), np.array([1], dtype)])
        yield ("RaggedRange", {}, [np.zeros(0, dtype), np.zeros(0, dtype), np.array(1, dtype)])
    yield ("RaggedRange", {}, [np.array(0.5, np.float32), np.array([2.0, 2.6], np.float32), np.array(0.3, np.float32)])


def ragged():
    outer, inner = I64(0, 2, 2, 3), I64(0, 3, 5, 9)
    values = np.arange(9, dtype=np.float32)
    wide = np.arange(18).reshape(9, 2)
    for splits in (np.int64, np.int32):
        for data in (values, wide, np.array([b"%d" % i for i in range(9)], object)):
            yield ("RaggedTensorToSparse", {"RAGGED_RANK": 1}, [inner.astype(splits), data])
            yield ("RaggedTensorToSparse", {"RAGGED_RANK": 2}, [outer.astype(splits), inner.astype(splits), data])
            for index in (np.array([2, 0, 0]), np.array([[0, 1], [2, 2]]), np.zeros(0, np.int64), np.array([1], np.int32), np.array(0)):
                for params in ([inner], [outer, inner]):
                    rank = len(params) + index.ndim - 1
                    yield ("RaggedGather", {"PARAMS_RAGGED_RANK": len(params), "OUTPUT_RAGGED_RANK": rank},
                           [p.astype(splits) for p in params] + [data, index])
    yield ("RaggedGather", {"PARAMS_RAGGED_RANK": 1, "OUTPUT_RAGGED_RANK": 1}, [inner, values, I64(3)])
    yield ("RaggedTensorToSparse", {"RAGGED_RANK": 1}, [I64(0, 3), values])
    yield ("RaggedTensorToSparse", {"RAGGED_RANK": 1}, [I64(0, 5, 3, 9), values])
    for shape in (np.array(-1, np.int64), I64(-1, -1), I64(3, 2), I64(2, 5), I64(5, -1), I64(-1, 0), I64(0, 0)):
        for default in (np.array(-1, np.float32),):
            yield ("RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [shape, values, default, inner])
            yield ("RaggedTensorToTensor", {"row_partition_types": ["FIRST_DIM_SIZE", "VALUE_ROWIDS"]},
                   [shape, values, default, np.array(4, np.int64), I64(0, 0, 0, 1, 1, 3, 3, 3, 3)])
    for shape in (np.array(-1, np.int64), I64(-1, -1, -1), I64(3, 2, 2), I64(4, 1, 6)):
        yield ("RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS", "ROW_SPLITS"]}, [shape, values, np.array(9, np.float32), outer, inner])
        yield ("RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [shape, wide, np.array(7), inner])
        yield ("RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [shape, wide, np.array([7, 8]), inner])
        yield ("RaggedTensorToTensor", {"row_partition_types": ["FIRST_DIM_SIZE", "VALUE_ROWIDS", "ROW_SPLITS"]},
               [shape, values, np.array(9, np.float32), np.array(3, np.int64), I64(0, 0, 2), inner])
    yield ("RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [I64(-1, -1), s(b"a", b"b"), np.array(b"", object), I64(0, 2, 2)])
    yield ("RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [I32(-1, -1), values, np.array(0, np.float32), inner.astype(np.int32)])


def cases():
    for part in (to_dense, arithmetic, shapes, sets, ranges, ragged):
        yield from part()
