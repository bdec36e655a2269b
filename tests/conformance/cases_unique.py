"""Distinct elements, list differences, sorted searches, partitions and stitches."""
import numpy as np
from cases_binary import REAL, numbers
from cases_shape import ALL, sample


def cases():
    rng = np.random.RandomState(19)
    for dtype in ALL:
        x = np.concatenate([sample(rng, dtype, (5,)), sample(rng, dtype, (5,))])
        for out in ("int32", "int64"):
            yield "Unique", {"out_idx": out}, [x]
            yield "UniqueWithCounts", {"out_idx": out}, [x]
            yield "UniqueV2", {"out_idx": out}, [x, np.int64([])]
            yield "UniqueV2", {"out_idx": out}, [x.reshape(5, 2), np.int32([0])]
            yield "ListDiff", {"out_idx": out}, [x, sample(rng, dtype, (3,))]
        yield "DynamicPartition", {"num_partitions": 3}, [sample(rng, dtype, (4, 2)), np.int32([2, 0, 2, 2])]
        yield "DynamicStitch", {}, [np.int32([2, 0]), np.int32([[1, 3]]), sample(rng, dtype, (2, 3)), sample(rng, dtype, (1, 2, 3))]
        yield "ParallelDynamicStitch", {}, [np.int32([2, 0]), np.int32([1]), sample(rng, dtype, (2,)), sample(rng, dtype, (1,))]
    small = rng.randint(0, 2, (4, 2, 3)).astype(np.float32)
    for axis in (0, 1, 2, -1, 3):
        yield "UniqueV2", {"out_idx": "int32"}, [small, np.int32([axis])]
        yield "UniqueWithCountsV2", {"out_idx": "int64"}, [small, np.int64([axis])]
    yield "Unique", {"out_idx": "int32"}, [np.float32([np.nan, 1, np.nan, 0, -0.0, np.inf])]
    yield "Unique", {"out_idx": "int32"}, [np.zeros([0], np.float32)]
    yield "Unique", {"out_idx": "int32"}, [small]
    yield "UniqueV2", {"out_idx": "int32"}, [small, np.int32([0, 1])]
    yield "ListDiff", {"out_idx": "int32"}, [np.int32([]), np.int32([1])]
    yield "ListDiff", {"out_idx": "int32"}, [np.int32([1, 1, 2]), np.int32([])]
    for op in ("LowerBound", "UpperBound"):
        for out in ("int32", "int64"):
            for dtype in REAL:
                rows = np.sort(numbers(rng, dtype, (2, 6)).astype(np.float64), axis=1).astype(dtype)
                yield op, {"out_type": out}, [rows, numbers(rng, dtype, (2, 4))]
        yield op, {"out_type": "int32"}, [np.float32([[1, 2, 2, 3]]), np.float32([[0, 1, 2, 2.5, 3, 4]])]
        yield op, {"out_type": "int32"}, [np.zeros([2, 0], np.float32), np.ones([2, 2], np.float32)]
        yield op, {"out_type": "int32"}, [np.zeros([2, 3], np.float32), np.ones([1, 2], np.float32)]
    for data, parts in [((6,), [0, 1, 0, 1, 1, 0]), ((2, 3, 2), [[0, 1, 0], [1, 1, 0]]), ((0, 2), np.zeros([0])), ((3,), [0, 1, 2]), ((3,), [0, -1, 1]), ((3,), [0, 1])]:
        yield "DynamicPartition", {"num_partitions": 2}, [sample(rng, np.float32, data), np.array(parts, np.int32)]
    yield "DynamicPartition", {"num_partitions": 2}, [np.float32(3), np.int32(1)]
    for op in ("DynamicStitch", "ParallelDynamicStitch"):
        yield op, {}, [np.int32([0, 1]), np.int32([1, 2]), np.float32([1, 2]), np.float32([3, 4])]
        yield op, {}, [np.int32(0), np.int32(1), np.float32([1, 2]), np.float32([3, 4])]
        yield op, {}, [np.int32([0]), np.int32([1]), np.float32([[1, 2]]), np.float32([[3, 4, 5]])]
        yield op, {}, [np.int32([-1]), np.int32([1]), np.float32([1]), np.float32([3])]
        yield op, {}, [np.zeros([0], np.int32), np.zeros([0], np.float32)]
        yield op, {}, [np.int32([0, 1]), np.float32([1])]
