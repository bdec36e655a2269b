"""Ragged and sparse tensors."""
import numpy as np
from cases_binary import BF16, NUMBERS, numbers
from cases_shape import ALL, sample

f = np.float32


def ragged(rng):
    for dtype in (f, np.float64, np.int32, np.int64, BF16):
        for splits in ("int32", "int64"):
            attrs = {"Tsplits": splits}
            yield "RaggedRange", attrs, [np.array([0, 5, 8]).astype(dtype), np.array([3, 5, 2]).astype(dtype), np.array([1, 1, -3]).astype(dtype)]
            yield "RaggedRange", attrs, [dtype(0), np.array([3, 5, 2]).astype(dtype), dtype(2)]
            yield "RaggedRange", attrs, [dtype(0), dtype(7), dtype(2)]
            yield "RaggedRange", attrs, [dtype(5), dtype(0), dtype(2)]
            yield "RaggedRange", attrs, [dtype(5), dtype(0), dtype(0)]
    yield "RaggedRange", {"Tsplits": "int64"}, [f([0, 1]), f([1, 2, 3]), f(1)]
    yield "RaggedRange", {"Tsplits": "int64"}, [f([0]), f([1.05]), f(0.1)]
    one, inner = np.int64([0, 2, 2, 5]), np.int64([0, 1, 3, 3, 4, 6])
    for dtype in ALL:
        attrs = {"PARAMS_RAGGED_RANK": 1, "OUTPUT_RAGGED_RANK": 1}
        yield "RaggedGather", attrs, [one, sample(rng, dtype, (5, 2)), np.int32([2, 0, 2])]
        yield "RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [np.int64(-1), sample(rng, dtype, (5,)), sample(rng, dtype, ()), one]
        yield "RaggedTensorToSparse", {"RAGGED_RANK": 1}, [one, sample(rng, dtype, (5,))]
    yield "RaggedGather", {"PARAMS_RAGGED_RANK": 2, "OUTPUT_RAGGED_RANK": 2}, [one, inner, numbers(rng, f, (6,)), np.int64([1, 2])]
    yield "RaggedGather", {"PARAMS_RAGGED_RANK": 2, "OUTPUT_RAGGED_RANK": 3}, [one, inner, numbers(rng, f, (6,)), np.int64([[1, 2], [0, 0]])]
    yield "RaggedGather", {"PARAMS_RAGGED_RANK": 1, "OUTPUT_RAGGED_RANK": 1}, [one, numbers(rng, f, (5,)), np.int64([3])]
    yield "RaggedGather", {"PARAMS_RAGGED_RANK": 1, "OUTPUT_RAGGED_RANK": 1}, [one, numbers(rng, f, (5,)), np.zeros([0], np.int64)]
    yield "RaggedGather", {"PARAMS_RAGGED_RANK": 1, "OUTPUT_RAGGED_RANK": 0}, [one, numbers(rng, f, (5,)), np.int64(2)]
    for shape in ([-1, -1], [2, 2], [5, -1], [-1, 1], [-1, 7], [0, 2], [2]):
        yield "RaggedTensorToTensor", {"row_partition_types": ["ROW_SPLITS"]}, [np.int64(shape), numbers(rng, f, (5,)), f(9), one]
        attrs = {"row_partition_types": ["FIRST_DIM_SIZE", "VALUE_ROWIDS"]}
        yield "RaggedTensorToTensor", attrs, [np.int64(shape), numbers(rng, f, (5,)), f(9), np.int64(4), np.int64([0, 0, 2, 2, 2])]
    two = {"row_partition_types": ["ROW_SPLITS", "ROW_SPLITS"]}
    yield "RaggedTensorToTensor", two, [np.int64(-1), numbers(rng, f, (6,)), f(9), one, inner]
    yield "RaggedTensorToTensor", two, [np.int64([-1, 2, 1]), numbers(rng, f, (6,)), f(9), one, inner]
    yield "RaggedTensorToTensor", two, [np.int32(-1), numbers(rng, f, (6, 2)), f([9, 8]), one.astype(np.int32), inner.astype(np.int32)]
    yield "RaggedTensorToTensor", {"row_partition_types": ["FIRST_DIM_SIZE", "VALUE_ROWIDS", "VALUE_ROWIDS"]}, \
        [np.int64(-1), numbers(rng, f, (4,)), f(9), np.int64(2), np.int64([0, 0, 1]), np.int64([0, 2, 2, 2])]
    yield "RaggedTensorToSparse", {"RAGGED_RANK": 2}, [one, inner, numbers(rng, f, (6,))]
    yield "RaggedTensorToSparse", {"RAGGED_RANK": 1}, [one.astype(np.int32), numbers(rng, f, (5, 2))]
    yield "RaggedTensorToSparse", {"RAGGED_RANK": 1}, [one, numbers(rng, f, (4,))]
    yield "RaggedTensorToSparse", {"RAGGED_RANK": 1}, [np.int64([1, 4]), numbers(rng, f, (4,))]


def sparse(rng):
    for dtype in ALL:
        yield "SparseToDense", {}, [np.int64([[0, 1], [1, 0]]), np.int64([2, 3]), sample(rng, dtype, (2,)), sample(rng, dtype, ())]
        yield "SparseFillEmptyRows", {}, [np.int64([[0, 1], [2, 0], [2, 3]]), sample(rng, dtype, (3,)), np.int64([4, 5]), sample(rng, dtype, ())]
        if dtype in NUMBERS:
            yield "SparseTensorDenseAdd", {}, [np.int64([[0, 1], [1, 0]]), sample(rng, dtype, (2,)), np.int64([2, 3]), sample(rng, dtype, (2, 3))]
    for index, shape, values in [([1, 3], [5], f([1, 2])), (3, [5], f(2)), ([1, 3], [5], f(7)), ([3, 1], [5], f([1, 2])), ([1, 1], [5], f([1, 2])), ([5], [5], f([1])),
                                 ([[0, 0], [0, 0]], [2, 2], f([1, 2])), (np.zeros([0, 2]), [2, 2], f([])), ([-1], [5], f([1])), ([[0]], [2, 2], f([1]))]:
        for validate in (True, False):
            if validate or np.ravel(index).tolist() not in ([5], [-1]):
                yield "SparseToDense", {"validate_indices": validate}, [np.array(index, np.int32), np.int32(shape), values, f(-1)]
    yield "SparseTensorDenseAdd", {}, [np.int64([[0, 1], [0, 1]]), f([1, 2]), np.int64([2, 3]), numbers(rng, f, (2, 3))]
    yield "SparseTensorDenseAdd", {}, [np.int64([[0, 3]]), f([1]), np.int64([2, 3]), numbers(rng, f, (2, 3))]
    yield "SparseTensorDenseAdd", {}, [np.int32([[0, 1]]), f([1]), np.int32([2, 3]), numbers(rng, f, (2, 3))]
    for target in ([6], [-1], [3, 2], [-1, 1, 2], [4], [-1, -1], [5, -1]):
        yield "SparseReshape", {}, [np.int64([[0, 1], [1, 0], [1, 2]]), np.int64([2, 3]), np.int64(target)]
    yield "SparseReshape", {}, [np.zeros([0, 2], np.int64), np.int64([2, 3]), np.int64([3, 2])]
    for index, shape in [([[0, 1], [2, 0]], [3, 3]), (np.zeros([0, 2]), [3, 3]), (np.zeros([0, 2]), [0, 3]), ([[3, 0]], [3, 3]), ([[2, 1], [0, 0]], [3, 3]), ([[-1, 0]], [3, 3])]:
        yield "SparseFillEmptyRows", {}, [np.array(index, np.int64), numbers(rng, f, (len(index),)), np.int64(shape), f(5)]


def cases():
    rng = np.random.RandomState(41)
    yield from ragged(rng)
    yield from sparse(rng)
