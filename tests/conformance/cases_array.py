"""Moving elements: slices, concatenation, padding, permutations, gathering and scattering."""
import numpy as np
from cases_binary import FLOATS, NUMBERS, REAL, numbers
from cases_shape import ALL, sample


def strided_slices(rng):
    def case(shape, first, last, strides, dtype=np.int32, source=np.float32, **masks):
        masks = {k + "_mask": v for k, v in masks.items()}
        return "StridedSlice", masks, [sample(rng, source, shape), np.array(first, dtype), np.array(last, dtype), np.array(strides, dtype)]

    for source in ALL:
        yield case((4, 5), [1, 0], [3, 5], [1, 2], source=source)
    for dtype in (np.int16, np.int32, np.int64):
        yield case((4, 5), [1, -1], [3, 0], [1, -2], dtype)
    yield case((4, 5), [1], [3], [1])
    yield case((4, 5), [], [], [])
    yield case((4, 5), [0, 0], [0, 0], [1, 1], begin=3, end=3)
    yield case((4, 5), [0, 0], [0, 0], [-1, -2], begin=3, end=3)
    yield case((4, 5), [-100, 100], [100, -100], [1, -1])
    yield case((4, 5), [3, 0], [1, 5], [1, 1])
    yield case((4, 5), [1, 0], [3, 5], [1, 2], shrink_axis=1)
    yield case((4, 5), [-1, -2], [0, 0], [1, 1], shrink_axis=3)
    yield case((4, 5), [4, 0], [5, 0], [1, 1], shrink_axis=1)
    yield case((4, 5), [-5, 0], [5, 0], [1, 1], shrink_axis=1)
    yield case((4, 5), [1, 0], [3, 5], [-1, 2], shrink_axis=1)
    yield case((4, 5), [1, 0], [3, 5], [0, 2])
    yield case((2, 3, 4, 5), [0, 1], [0, 3], [1, 1], ellipsis=1)
    yield case((2, 3, 4, 5), [1, 0, 1], [2, 0, 4], [1, 1, 2], ellipsis=2)
    yield case((2, 3, 4, 5), [1, 0, 1, 0], [2, 0, 4, 0], [1, 1, 2, 1], ellipsis=2, new_axis=8)
    yield case((2, 3, 4, 5), [0, 1, 0, 2], [0, 2, 0, 4], [1, 1, 1, 1], new_axis=5)
    yield case((2, 3, 4, 5), [0, 1, 0, 2], [0, 2, 0, 4], [1, 1, 1, 1], new_axis=5, shrink_axis=7, ellipsis=0)
    yield case((2, 3), [0, 0, 0], [0, 0, 0], [1, 1, 1], ellipsis=2, begin=5, end=5)
    yield case((2, 3), [0, 0], [0, 0], [1, 1], ellipsis=3)
    yield case((2, 3), [0, 0, 0], [1, 1, 1], [1, 1, 1])
    yield case((2, 3), [0, 0], [1, 1], [1])
    yield case((2, 3), [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], new_axis=5)
    yield case((), [0], [0], [1], new_axis=1)
    yield case((), [], [], [])
    yield case((), [0], [1], [1])
    yield case((0, 3), [0, 1], [0, 3], [1, 1])
    yield case((0, 3), [0, 1], [0, 3], [1, 1], begin=1, end=1)
    yield case((0, 3), [0], [1], [1], shrink_axis=1)
    yield case((7,), [5], [0], [-2])
    yield case((7,), [-1], [-8], [-3])
    yield case((7,), [1], [6], [100])
    yield case((7,), [0], [-1], [1], np.int64, begin=1)
    yield case((7,), [2], [3], [-9223372036854775808], np.int64)
    yield case((7,), [-9223372036854775808], [9223372036854775807], [1], np.int64)
    yield case((3, 4), [1, 1], [2, 2], [1, 1], shrink_axis=3, begin=3, end=3)


def slices(rng):
    for source in ALL:
        yield "Slice", {}, [sample(rng, source, (3, 4)), np.int32([1, 0]), np.int32([-1, 2])]
        yield "Split", {"num_split": 2}, [np.int32(1), sample(rng, source, (3, 4))]
        yield "Unpack", {"num": 3, "axis": 0}, [sample(rng, source, (3, 4))]
    for shape, begin, size in [((3, 4), [0, 0], [3, 4]), ((3, 4), [3, 4], [0, 0]), ((3, 4), [1, 1], [3, 1]), ((3, 4), [-1, 0], [1, 1]),
                               ((3, 4), [0], [1]), ((), [], []), ((0, 2), [0, 1], [-1, -1]), ((3, 4), [4, 0], [-1, 1]), ((5,), [2], [-2]),
                               ((2, 3, 4), [1, 0, 2], [1, -1, 2])]:
        yield "Slice", {}, [sample(rng, np.float32, shape), np.array(begin, np.int64), np.array(size, np.int64)]
    for shape, axis, num in [((6,), 0, 3), ((6, 2), 0, 1), ((2, 6), -1, 6), ((2, 6, 3), 1, 2), ((2, 6), 0, 4), ((2, 6), 2, 2), ((0, 6), 1, 3),
                             ((0, 6), 0, 3), ((2, 6), -3, 2)]:
        yield "Split", {"num_split": num}, [np.int32(axis), sample(rng, np.float32, shape)]
    for shape, sizes, axis in [((6,), [1, 2, 3], 0), ((6,), [1, -1, 3], 0), ((2, 6), [6], 1), ((2, 6), [0, 6, 0], -1), ((2, 6), [1, 2], 1),
                               ((2, 6), [7, -1], 1), ((2, 6), [-1, -1], 1), ((2, 6), [1, 5, -1], 1), ((0, 6), [2, 4], 1), ((2, 6), [1, 1], -2),
                               ((2, 6), [1, 1], 2), ((2, 3, 4), [1, 3], 2)]:
        for dtype in (np.int32, np.int64):
            yield "SplitV", {"num_split": len(sizes)}, [sample(rng, np.float32, shape), np.array(sizes, dtype), np.int32(axis)]
    yield "SplitV", {"num_split": 2}, [sample(rng, object, (4, 2)), np.int32([1, 3]), np.int32(0)]
    for shape, axis, num in [((3, 4), 1, 4), ((3, 4), -1, 4), ((3, 4), -2, 3), ((3,), 0, 3), ((2, 3, 4), 1, 3), ((0, 3), 0, 0), ((0, 3), 1, 3),
                             ((3, 4), 0, 4), ((3, 4), 2, 4)]:
        yield "Unpack", {"num": num, "axis": axis}, [sample(rng, np.float32, shape)]


def concats(rng):
    for source in ALL:
        parts = [sample(rng, source, s) for s in ((2, 3), (1, 3), (0, 3))]
        yield "ConcatV2", {}, parts + [np.int32(0)]
        yield "Concat", {}, [np.int32(0)] + parts
        yield "Pack", {"axis": 1}, [sample(rng, source, (2, 3)) for _ in range(3)]
        yield "Tile", {}, [sample(rng, source, (2, 3)), np.int32([2, 3])]
    for shapes, axis in [(((2, 3), (2, 4)), 1), (((2, 3), (2, 4)), -1), (((2, 3), (2, 4)), 0), (((2, 3), (2, 3)), 2), (((2,), (3,), (0,)), 0),
                         (((), ()), 0), (((2, 1, 3), (2, 2, 3), (2, 1, 3)), 1), (((0, 3), (0, 3)), 1), (((2, 3), (3,)), 0), (((2, 3), (2, 3)), -3)]:
        for dtype in (np.int32, np.int64):
            yield "ConcatV2", {"N": len(shapes)}, [sample(rng, np.float32, s) for s in shapes] + [np.array(axis, dtype)]
        yield "Concat", {"N": len(shapes)}, [np.int32(axis)] + [sample(rng, np.float32, s) for s in shapes]
    for axis, shapes in [(0, ([2, 3], [4, 3], [1, 3])), (-1, ([2, 3], [2, 5])), (1, ([2, 3], [4, 3])), (2, ([2, 3], [2, 3])), (0, ([1], [2]))]:
        yield "ConcatOffset", {}, [np.int32(axis)] + [np.int32(s) for s in shapes]
    for shape in [(), (3,), (2, 0), (2, 3, 4)]:
        for axis in range(-len(shape) - 2, len(shape) + 2):
            yield "Pack", {"axis": axis}, [sample(rng, np.float32, shape) for _ in range(2)]
    yield "Pack", {"axis": 0}, [sample(rng, np.float32, (2,)), sample(rng, np.float32, (3,))]
    yield "Pack", {"axis": 0}, [sample(rng, np.float32, (2,))]
    for n in (1, 3):
        yield "ParallelConcat", {"N": n, "shape": [n, 2, 2]}, [sample(rng, np.float32, (1, 2, 2)) for _ in range(n)]
    for shape, multiples in [((), []), ((3,), [2]), ((3,), [0]), ((2, 3), [1, 1]), ((2, 1, 3), [3, 2, 2]), ((0, 2), [3, 2]), ((2,), [-1]),
                             ((2,), [1, 2]), ((1, 5), [4, 1]), ((5, 1), [1, 4])]:
        for dtype in (np.int32, np.int64):
            yield "Tile", {}, [sample(rng, np.float32, shape), np.array(multiples, dtype)]


def pads(rng):
    for source in ALL:
        yield "Pad", {}, [sample(rng, source, (2, 3)), np.int32([[1, 0], [0, 2]])]
        yield "PadV2", {}, [sample(rng, source, (2, 3)), np.int32([[1, 0], [0, 2]]), sample(rng, source, ())]
        yield "MirrorPad", {"mode": "REFLECT"}, [sample(rng, source, (2, 3)), np.int32([[1, 0], [0, 2]])]
        yield "MirrorPad", {"mode": "SYMMETRIC"}, [sample(rng, source, (2, 3)), np.int32([[1, 2], [3, 2]])]
    for shape, paddings in [((), np.zeros([0, 2])), ((3,), [[0, 0]]), ((3,), [[2, 1]]), ((3,), [[-1, 1]]), ((2, 2), [[1, 1]]), ((0,), [[1, 2]]),
                            ((0, 2), [[0, 0], [1, 1]]), ((2, 3, 1), [[0, 1], [1, 0], [2, 2]]), ((1, 2, 2, 3), [[0, 0], [1, 1], [2, 2], [0, 0]]),
                            ((3,), [[1, 1, 1]]), ((2, 2, 2, 2, 2), [[1, 0]] * 5), ((3,), [[3, 3]]), ((3,), [[4, 0]])]:
        for dtype in (np.int32, np.int64):
            rows = np.array(paddings, dtype)
            yield "Pad", {}, [sample(rng, np.float32, shape), rows]
            yield "PadV2", {}, [sample(rng, np.float32, shape), rows, np.float32(7)]
            for mode in ("REFLECT", "SYMMETRIC"):
                yield "MirrorPad", {"mode": mode}, [sample(rng, np.float32, shape), rows]


def permutations(rng):
    for source in ALL:
        yield "Transpose", {}, [sample(rng, source, (2, 3, 4)), np.int32([2, 0, 1])]
        yield "ConjugateTranspose", {}, [sample(rng, source, (2, 3)), np.int32([1, 0])]
        yield "ReverseV2", {}, [sample(rng, source, (2, 3, 2)), np.int32([1, -1])]
        yield "Reverse", {}, [sample(rng, source, (2, 3, 2)), np.array([True, False, True])]
        yield "Roll", {}, [sample(rng, source, (2, 3)), np.int32([1, -5]), np.int32([0, 1])]
        yield "ReverseSequence", {"seq_dim": 1, "batch_dim": 0}, [sample(rng, source, (2, 4, 2)), np.int64([3, 4])]
    for shape, perm in [((), []), ((3,), [0]), ((2, 3), [0, 1]), ((2, 3), [1, 0]), ((2, 3), [0, 0]), ((2, 3), [0, 2]), ((2, 3), [0]), ((0, 3), [1, 0]),
                        ((2, 3, 4, 5), [0, 3, 1, 2]), ((2, 3, 4, 5), [0, 2, 1, 3]), ((1, 3, 1, 5), [2, 1, 0, 3]), ((2, 3), [-1, 0]),
                        ((2, 1, 2, 3, 2), [4, 3, 2, 1, 0]), ((1, 2, 1, 2, 1, 2, 3), [6, 1, 0, 3, 4, 5, 2])]:
        for dtype in (np.int32, np.int64):
            yield "Transpose", {}, [sample(rng, np.float32, shape), np.array(perm, dtype)]
    for values in ([], [0], [2, 0, 1], [3, 2, 1, 0], [0, 0], [0, 2], [-1, 0]):
        for dtype in (np.int32, np.int64):
            yield "InvertPermutation", {}, [np.array(values, dtype)]
    for shape, axes in [((2, 3), []), ((2, 3), [0]), ((2, 3), [0, 1]), ((2, 3), [0, 0]), ((2, 3), [0, -2]), ((2, 3), [2]), ((), []), ((0, 3), [0]),
                        ((2, 3, 4, 2), [3, 1])]:
        for dtype in (np.int32, np.int64):
            yield "ReverseV2", {}, [sample(rng, np.float32, shape), np.array(axes, dtype)]
    for flags in ([True, True], [False, False], [True]):
        yield "Reverse", {}, [sample(rng, np.float32, (2, 3)), np.array(flags)]
    for lengths, seq, batch in [([2, 0, 5], 1, 0), ([1, 1, 1], 1, 0), ([6, 1, 1], 1, 0), ([-1, 1, 1], 1, 0), ([2, 3], 1, 0), ([3, 2, 1, 0, 3], 0, 1),
                                ([1, 2, 3, 1, 2], 0, 1), ([2, 2, 2], 0, 0), ([2, 1], 1, 2), ([1, 2], 3, 0)]:
        for dtype in (np.int32, np.int64):
            yield "ReverseSequence", {"seq_dim": seq, "batch_dim": batch}, [sample(rng, np.float32, (3, 5, 2)), np.array(lengths, dtype)]
    for shape, shift, axis in [((4,), 1, 0), ((4,), -9, 0), ((2, 3), [1, 1], [1, 1]), ((2, 3), [1, 2], [0, -1]), ((0, 3), 1, 0), ((2, 3), 1, 2),
                               ((2, 3), [1], [0, 1]), ((2, 3), 7, -2), ((), 1, 0), ((2, 3, 4), [0, 5], [2, 1])]:
        yield "Roll", {}, [sample(rng, np.float32, shape), np.int32(shift), np.int64(axis)]
    for source, target in [("NHWC", "NCHW"), ("NCHW", "NHWC"), ("NHWC", "HWNC"), ("NHWC", "NHWC")]:
        attrs = {"src_format": source, "dst_format": target}
        for dtype in (np.int32, np.int64):
            yield "DataFormatDimMap", attrs, [dtype([0, 1, 2, 3, -1, -4])]
            yield "DataFormatDimMap", attrs, [dtype(2)]
            yield "DataFormatVecPermute", attrs, [dtype([7, 4, 9, 3])]
            yield "DataFormatVecPermute", attrs, [dtype([[7, 4], [9, 3], [4, 5], [5, 1]])]
            yield "DataFormatVecPermute", attrs, [dtype([7, 4])]
            yield "DataFormatVecPermute", attrs, [dtype([7, 4, 5])]
    for source, target in [("NDHWC", "NCDHW"), ("NCDHW", "NDHWC")]:
        attrs = {"src_format": source, "dst_format": target}
        yield "DataFormatVecPermute", attrs, [np.int32([7, 4, 9, 3, 1])]
        yield "DataFormatVecPermute", attrs, [np.int32([7, 4, 9])]
        yield "DataFormatDimMap", attrs, [np.int32([0, 1, 2, 3, 4])]


def gathers(rng):
    for source in ALL:
        yield "GatherV2", {}, [sample(rng, source, (4, 3)), np.int32([3, 0, 0]), np.int32(0)]
        yield "Gather", {}, [sample(rng, source, (4, 3)), np.int64([[3, 0], [1, 2]])]
        yield "GatherNd", {}, [sample(rng, source, (4, 3)), np.int32([[3, 0], [1, 2]])]
        yield "OneHot", {"axis": -1}, [np.int32([0, 2, -1, 5]), np.int32(3), sample(rng, source, ()), sample(rng, source, ())]
    for params, indices, axis, batch in [((4, 3), (), 0, 0), ((4, 3), (2,), 1, 0), ((4, 3), (2,), -1, 0), ((4, 3), (2, 2), 1, 0), ((2, 4, 3), (2, 2), 1, 1),
                                         ((2, 4, 3), (2, 2), 2, 1), ((2, 4, 3), (2,), 1, 1), ((2, 4, 3), (2, 2), -1, -1), ((2, 4, 3), (2, 4), 2, 2),
                                         ((2, 4, 3), (3, 2), 1, 1), ((2, 4, 3), (2, 2), 0, 1), ((2, 4, 3), (2, 2), 2, 3), ((4, 3), (0,), 0, 0),
                                         ((4, 0), (2,), 0, 0), ((4, 3), (2,), 2, 0), ((4, 3), (2,), -3, 0), ((2, 4, 3, 2), (2, 4, 2, 2), -2, -2),
                                         ((2, 3, 4), (3,), 1, 0)]:
        for dtype in (np.int32, np.int64):
            index = rng.randint(0, 3, indices).astype(dtype)
            yield "GatherV2", {"batch_dims": batch}, [sample(rng, np.float32, params), index, np.array(axis, dtype)]
    yield "GatherV2", {}, [sample(rng, np.float32, (4, 3)), np.int32([4]), np.int32(0)]
    yield "GatherV2", {}, [sample(rng, np.float32, (4, 3)), np.int32([-1]), np.int32(0)]
    yield "GatherV2", {}, [sample(rng, np.float32, (0, 3)), np.int32([0]), np.int32(0)]
    yield "GatherV2", {}, [np.float32(3), np.int32([0]), np.int32(0)]
    yield "Gather", {}, [sample(rng, np.float32, (4, 3)), np.int16([4])]
    for params, indices in [((4, 3), [[0], [3]]), ((4, 3), [1, 2]), ((4, 3), np.zeros([2, 0])), ((4, 3), np.zeros([0, 2])), ((4, 3), [[4, 0]]),
                            ((4, 3), [[0, -1]]), ((4, 3), [[0, 0, 0]]), ((2, 4, 3), [[[1, 3]], [[0, 0]]]), ((), np.zeros([2, 0]))]:
        for dtype in (np.int32, np.int64):
            yield "GatherNd", {}, [sample(rng, np.float32, params), np.array(indices, dtype)]
            yield "GatherNd", {"bad_indices_policy": "IGNORE"}, [sample(rng, np.float32, params), np.array(indices, dtype)]
    for shape in [(), (3,), (2, 3), (0,), (2, 0)]:
        for axis in range(-1, len(shape) + 2):
            for dtype in (np.uint8, np.int8, np.int32, np.int64):
                yield "OneHot", {"axis": axis}, [rng.randint(0, 5, shape).astype(dtype), np.int32(4), np.float32(1), np.float32(-1)]
    yield "OneHot", {"axis": -1}, [np.int32([1]), np.int32(-1), np.float32(1), np.float32(0)]
    yield "OneHot", {"axis": -1}, [np.int32([1]), np.int32(0), np.float32(1), np.float32(0)]
    yield "OneHot", {"axis": -1}, [np.int32([1]), np.int32([2]), np.float32(1), np.float32(0)]


def scatters(rng):
    for source in ALL:
        yield "ScatterNd", {}, [np.int32([[1], [3], [1]]), sample(rng, source, (3, 2)), np.int32([4, 2])]
    for op in ("Update", "Add", "Sub", "Min", "Max"):
        for source in ALL:
            yield "TensorScatter" + op, {}, [sample(rng, source, (4, 2)), np.int32([[1], [3], [1]]), sample(rng, source, (3, 2))]
        for tensor, indices, updates in [((4, 2), [[0, 1], [3, 0]], (2,)), ((4, 2), np.zeros([0, 1]), (0, 2)), ((4, 2), [[4]], (1, 2)),
                                         ((4, 2), [[-1]], (1, 2)), ((4, 2), [[0]], (2, 2)), ((3, 2, 2), [[[0, 1]], [[2, 0]]], (2, 1, 2)), ((4,), [[0, 0]], (1,))]:
            yield "TensorScatter" + op, {}, [sample(rng, np.float32, tensor), np.array(indices, np.int64), sample(rng, np.float32, updates)]
    for shape, indices, updates in [([4, 2], [[0, 1], [3, 0]], (2,)), ([4], [[1], [1], [1]], (3,)), ([4], np.zeros([0, 1]), (0,)), ([4], [[4]], (1,)),
                                    ([4, 2], [[0]], (1, 3)), ([0], np.zeros([0, 1]), (0,)), ([2, 3, 2], [[1], [0]], (2, 3, 2)), ([-1], [[0]], (1,))]:
        for dtype in (np.int32, np.int64):
            yield "ScatterNd", {}, [np.array(indices, dtype), sample(rng, np.float32, updates), np.array(shape, dtype)]
            yield "ScatterNd", {"bad_indices_policy": "IGNORE"}, [np.array(indices, dtype), sample(rng, np.float32, updates), np.array(shape, dtype)]


def blocks(rng):
    for source in ALL:
        yield "SpaceToBatchND", {}, [sample(rng, source, (1, 4, 2)), np.int32([2]), np.int32([[0, 0]])]
        yield "BatchToSpaceND", {}, [sample(rng, source, (4, 2, 1)), np.int32([2]), np.int32([[1, 0]])]
        for op in ("SpaceToDepth", "DepthToSpace"):
            yield op, {"block_size": 2}, [sample(rng, source, (1, 2, 4, 8))]
            yield op, {"block_size": 2, "data_format": "NCHW"}, [sample(rng, source, (1, 8, 2, 4))]
    for op in ("SpaceToDepth", "DepthToSpace"):
        for shape, block in [((2, 6, 3, 9), 3), ((2, 4, 4, 3), 2), ((0, 2, 2, 4), 2), ((2, 2, 2, 4), 1), ((2, 2, 2), 2), ((3, 8, 4, 32), 4)]:
            yield op, {"block_size": block}, [sample(rng, np.float32, shape)]
    for shape, block, pads in [((1, 4, 4, 1), [2, 2], [[0, 0], [0, 0]]), ((2, 3, 5, 2), [2, 3], [[1, 0], [2, 2]]), ((1, 4, 4, 1), [2, 2], [[0, 1], [0, 0]]),
                               ((2, 2), [2], [[1, 1]]), ((2, 6, 2), [3], [[0, 0]]), ((1, 2, 2, 2, 3), [2, 1, 2], [[0, 0], [1, 1], [0, 2]]),
                               ((0, 4, 4, 1), [2, 2], [[0, 0], [0, 0]]), ((1, 4, 4, 1), [0, 2], [[0, 0], [0, 0]]), ((1, 4), [2], [[4, 6]]), ((3, 2), [], np.zeros([0, 2])),
                               ((1, 4, 4, 1), [1, 1], [[0, 0], [0, 0]]), ((1, 4, 4, 1), [2, 2], [[-1, 1], [0, 0]]), ((1, 1, 1, 1), [3, 3], [[4, 4], [2, 6]])]:
        for dtype in (np.int32, np.int64):
            yield "SpaceToBatchND", {}, [sample(rng, np.float32, shape), np.array(block, dtype), np.array(pads, dtype)]
    for shape, block, crops in [((4, 2, 2, 1), [2, 2], [[0, 0], [0, 0]]), ((12, 2, 3, 2), [2, 3], [[1, 0], [2, 2]]), ((4, 2, 2, 1), [2, 2], [[3, 2], [0, 0]]),
                                ((6, 2), [3], [[1, 2]]), ((5, 2), [2], [[0, 0]]), ((4, 1, 2, 1, 3), [2, 1, 2], [[0, 0], [0, 1], [1, 0]]), ((0, 2, 2, 1), [2, 2], [[0, 0], [0, 0]]),
                                ((4, 2), [4], [[4, 4]]), ((3, 2), [], np.zeros([0, 2])), ((9, 3, 3, 1), [3, 3], [[4, 4], [2, 6]])]:
        for dtype in (np.int32, np.int64):
            yield "BatchToSpaceND", {}, [sample(rng, np.float32, shape), np.array(block, dtype), np.array(crops, dtype)]
    yield "SpaceToBatch", {"block_size": 2}, [sample(rng, np.float32, (1, 3, 4, 2)), np.int32([[1, 0], [0, 2]])]
    yield "BatchToSpace", {"block_size": 2}, [sample(rng, np.float32, (8, 3, 4, 2)), np.int32([[1, 0], [0, 2]])]


def cases():
    rng = np.random.RandomState(7)
    yield from strided_slices(rng)
    yield from slices(rng)
    yield from concats(rng)
    yield from pads(rng)
    yield from permutations(rng)
    yield from gathers(rng)
    yield from scatters(rng)
    yield from blocks(rng)
