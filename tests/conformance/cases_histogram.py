"""Counting."""
import numpy as np
from cases_binary import NUMBERS, REAL, numbers


def cases():
    rng = np.random.RandomState(9)
    i32 = lambda *v: np.array(v, np.int32)
    values = i32(3, 1, 1, 7, 0, 3, 3)
    for dtype in NUMBERS:
        empty, weights = np.zeros([0], dtype), numbers(rng, dtype, (7,))
        yield "Bincount", {}, [values, np.int32(5), empty]
        yield "Bincount", {}, [values, np.int32(9), weights]
        for index in (np.int32, np.int64):
            for binary in (False, True):
                attrs = {"binary_output": binary}
                yield "DenseBincount", attrs, [values.astype(index), index(5), empty]
                yield "DenseBincount", attrs, [values.astype(index), index(8), weights]
                yield "DenseBincount", attrs, [values[:6].reshape(2, 3).astype(index), index(4), empty]
                yield "DenseBincount", attrs, [values[:6].reshape(2, 3).astype(index), index(9), weights[:6].reshape(2, 3)]
        yield "RaggedBincount", {}, [np.array([0, 2, 2, 7], np.int64), values, np.int32(5), weights]
        yield "SparseBincount", {}, [np.array([[0, 1], [1, 0], [1, 2]], np.int64), i32(1, 3, 3), np.array([2, 3], np.int64), np.int32(4), empty]
    f = np.zeros([0], np.float32)
    yield "Bincount", {}, [i32(1, -1), np.int32(5), f]
    yield "Bincount", {}, [i32(1, 2), np.int32(-5), f]
    yield "Bincount", {}, [i32(1, 2), np.int32(5), np.zeros([3], np.float32)]
    yield "Bincount", {}, [i32(), np.int32(5), f]
    yield "Bincount", {}, [i32(1, 2), np.int32(0), f]
    yield "DenseBincount", {}, [np.zeros([2, 0], np.int32), np.int32(3), f]
    yield "SparseBincount", {"binary_output": True}, [np.array([[0], [1]], np.int64), i32(1, 3), np.array([4], np.int64), np.int32(4), f]
    for dtype in REAL:
        for out in ("int32", "int64"):
            yield "HistogramFixedWidth", {"dtype": out}, [numbers(rng, dtype, (3, 20)), np.array([1, 6], dtype), np.int32(5)]
    yield "HistogramFixedWidth", {}, [np.array([-1.0, 0, 1, 2, 5, 9, 1e9], np.float32), np.array([0, 5], np.float32), np.int32(5)]
    yield "HistogramFixedWidth", {}, [np.array([1.0], np.float32), np.array([5, 0], np.float32), np.int32(5)]
    yield "HistogramFixedWidth", {}, [np.array([1.0], np.float32), np.array([0, 5], np.float32), np.int32(0)]
    yield "HistogramFixedWidth", {}, [f, np.array([0, 5], np.float32), np.int32(2)]
    for dtype in (np.float32, np.float64, np.int32, np.int64):
        for boundaries in ([0.0, 1.5, 3.0], [], [2.0], [1.0, 1.0, 2.0]):
            yield "Bucketize", {"boundaries": boundaries}, [numbers(rng, dtype, (2, 9))]
    yield "Bucketize", {"boundaries": [3.0, 1.0]}, [f]
