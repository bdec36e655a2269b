"""Assignments to slices, and decoding of label sequences."""
import numpy as np


def i32(*values):
    return np.array(values, np.int32)


def slices():
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    def case(begin, end, strides, value, dtype=np.float32, **masks):
        return ("TensorStridedSliceUpdate", masks, [x.astype(dtype), i32(*begin), i32(*end), i32(*strides), np.asarray(value).astype(dtype)])
    for dtype in (np.float32, np.int64, np.bool_, np.complex64):
        yield case((1, 2), (3, 4), (1, 1), np.full((2, 2), 1), dtype)
    yield case((1,), (2,), (1,), np.arange(6), shrink_axis_mask=1)
    yield case((-1,), (0,), (1,), np.arange(6), shrink_axis_mask=1)
    yield case((0, 5), (4, 0), (2, -2), np.arange(6).reshape(2, 3) * -1)
    yield case((0, 1), (0, 3), (1, 1), np.arange(8).reshape(4, 2), begin_mask=1, end_mask=1)
    yield case((0, 3), (0, 4), (1, 1), np.arange(4), ellipsis_mask=1, shrink_axis_mask=2)
    yield case((0, 1), (0, 3), (1, 1), np.arange(12).reshape(1, 2, 6), new_axis_mask=1)
    yield case((2, 2), (2, 4), (1, 1), np.zeros((0, 2)))
    yield case((1, 1), (2, 2), (1, 1), np.array(5.0), shrink_axis_mask=3)
    yield case((9,), (10,), (1,), np.arange(6), shrink_axis_mask=1)
    yield case((0, 0), (2, 2), (0, 1), np.zeros((2, 2)))
    yield case((1, 2), (3, 4), (1, 1), np.full((3, 2), 1))


def decoding():
    rng = np.random.RandomState(5)
    for dtype in (np.float32, np.float64):
        logits = rng.uniform(-2, 2, (7, 3, 4)).astype(dtype)
        for merge in (False, True):
            for blank in (-1, 0, 2, 9):
                yield ("CTCGreedyDecoder", {"merge_repeated": merge, "blank_index": blank}, [logits, i32(7, 0, 4)])
        yield ("CTCGreedyDecoder", {}, [np.repeat(logits, 2, axis=0), i32(14, 14, 14)])
        yield ("CTCGreedyDecoder", {}, [logits, i32(8, 1, 1)])
        yield ("CTCGreedyDecoder", {}, [logits, i32(1, 1)])


def cases():
    yield from slices()
    yield from decoding()
