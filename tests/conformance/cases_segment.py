"""Reductions by segment."""
import numpy as np
from cases_binary import BF16, FLOATS, NUMBERS, REAL, numbers


def sorted_segments(rng):
    for op in ("SegmentSum", "SegmentMean", "SegmentMax", "SegmentMin", "SegmentProd"):
        for dtype in NUMBERS if op in ("SegmentSum", "SegmentMean", "SegmentProd") else REAL:
            for index in (np.int32, np.int64):
                yield op, {}, [numbers(rng, dtype, (6, 2)), np.array([0, 0, 1, 3, 3, 3], index)]
            yield op, {}, [numbers(rng, dtype, (4,)), np.array([2, 2, 3, 5], np.int32)]
        f = np.float32
        yield op, {}, [numbers(rng, f, (0, 2)), np.zeros([0], np.int32)]
        yield op, {}, [numbers(rng, f, (3, 0)), np.array([0, 1, 1], np.int32)]
        yield op, {}, [numbers(rng, f, (3, 2, 2)), np.array([0, 1, 1], np.int32)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([1, 0, 1], np.int32)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([-1, 0, 1], np.int32)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([0, 1], np.int32)]
        yield op, {}, [np.array([1, np.nan, np.inf, -np.inf, 2], f), np.array([0, 0, 1, 2, 2], np.int32)]


def unsorted(rng):
    for op in ("UnsortedSegmentSum", "UnsortedSegmentMax", "UnsortedSegmentMin", "UnsortedSegmentProd"):
        for dtype in NUMBERS if op.endswith(("Sum", "Prod")) else REAL:
            yield op, {}, [numbers(rng, dtype, (6, 2)), np.array([3, 0, -1, 3, 1, 0], np.int32), np.int32(5)]
        f = np.float32
        yield op, {}, [numbers(rng, f, (6, 2)), np.array([3, 0, -1, 3, 1, 0], np.int64), np.int64(5)]
        yield op, {}, [numbers(rng, f, (6, 2)), np.array([3, 0, -1, 3, 1, 0], np.int16), np.int32(5)]
        yield op, {}, [numbers(rng, f, (2, 3, 2)), np.array([[3, 0, -1], [3, 1, 0]], np.int32), np.int32(4)]
        yield op, {}, [numbers(rng, f, (2, 3)), np.array([[3, 0, -1], [3, 1, 0]], np.int32), np.int32(4)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.int32(1), np.int32(2)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([0, 1, 2], np.int32), np.int32(2)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([0, 1], np.int32), np.int32(2)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([0, 1, 1], np.int32), np.int32(-2)]
        yield op, {}, [numbers(rng, f, (0, 2)), np.zeros([0], np.int32), np.int32(3)]
        yield op, {}, [numbers(rng, f, (3, 2)), np.array([-1, -1, -1], np.int32), np.int32(0)]
        yield op, {}, [np.array([1, np.nan, np.inf, -np.inf, 2], f), np.array([0, 0, 1, 2, 3], np.int32), np.int32(5)]


def sparse(rng):
    for kind in ("Sum", "Mean", "SqrtN"):
        for dtype in FLOATS:
            data = numbers(rng, dtype, (5, 3))
            for index in (np.int32, np.int64):
                rows, ids = np.array([4, 0, 0, 2], index), np.array([0, 0, 1, 3], np.int64 if index == np.int32 else np.int32)
                yield "SparseSegment" + kind, {}, [data, rows, ids]
                yield "SparseSegment%sWithNumSegments" % kind, {}, [data, rows, ids, index(6)]
        data = numbers(rng, np.float32, (5, 3, 2))
        i32 = lambda *v: np.array(v, np.int32)
        yield "SparseSegment" + kind, {}, [data, i32(4, 1, 1), i32(0, 2, 2)]
        yield "SparseSegment" + kind, {}, [data, i32(), i32()]
        yield "SparseSegment" + kind, {}, [data, i32(5), i32(0)]
        yield "SparseSegment" + kind, {}, [data, i32(1, 2), i32(1, 0)]
        yield "SparseSegment" + kind, {}, [data, i32(1, 2), i32(0)]
        yield "SparseSegment%sWithNumSegments" % kind, {}, [data, i32(), i32(), np.int32(3)]
        yield "SparseSegment%sWithNumSegments" % kind, {}, [data, i32(1, 2), i32(0, 3), np.int32(3)]


def cases():
    rng = np.random.RandomState(8)
    yield from sorted_segments(rng)
    yield from unsorted(rng)
    yield from sparse(rng)
