"""Ops that order elements."""
import numpy as np
from cases_binary import FLOATS, REAL, numbers
from cases_reduce import special


def shuffled(rng, dtype, shape):
    """Values without equals along any axis, as far as the dtype has enough."""
    count = int(np.prod(shape))
    return rng.permutation(count).reshape(shape).astype(dtype)


def arg_extremes(rng):
    for op in ("ArgMax", "ArgMin"):
        for dtype in REAL + [np.bool_]:
            for shape, axis in [((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((2, 3, 4), -3)]:
                yield op, {}, [numbers(rng, dtype, shape), np.int32(axis)]
        for output in ("int32", "int64", "int16", "uint16"):
            yield op, {"output_type": output}, [numbers(rng, np.float32, (3, 7)), np.int64(-1)]
        yield op, {}, [numbers(rng, np.float32, (0, 3)), np.int32(1)]
        yield op, {}, [numbers(rng, np.float32, (3, 0)), np.int32(1)]
        yield op, {}, [numbers(rng, np.float32, (3, 2)), np.int32(2)]
        yield op, {}, [numbers(rng, np.float32, (3, 2)), np.int32(-3)]
        yield op, {}, [np.float32(3), np.int32(0)]
        yield op, {}, [np.array([3, 1, 3, 1], np.int32), np.int32(0)]
        for dtype in (np.float32, np.float64):
            yield op, {}, [special(dtype)[:3], np.int32(1)]


def top_k(rng):
    for dtype in REAL:
        yield "TopKV2", {}, [numbers(rng, dtype, (3, 9)), np.int32(4)]
        yield "TopK", {"k": 3}, [numbers(rng, dtype, (3, 9))]
    for shape, k in [((5,), 0), ((5,), 5), ((5,), 1), ((2, 3, 6), 2), ((0, 3), 2), ((2, 0), 0), ((4, 40), 17), ((2, 1000), 1), ((2, 1000), 100)]:
        for index in ("int32", "int64", "int16"):
            yield "TopKV2", {"index_type": index}, [shuffled(rng, np.float32, shape), np.int32(k)]
    yield "TopKV2", {}, [shuffled(rng, np.float32, (3, 4)), np.int64(2)]
    yield "TopKV2", {}, [shuffled(rng, np.float32, (3, 4)), np.int32(5)]
    yield "TopKV2", {}, [shuffled(rng, np.float32, (3, 4)), np.int32(-1)]
    yield "TopKV2", {}, [np.float32(3), np.int32(0)]
    yield "TopKV2", {}, [np.array([1, np.inf, -np.inf, 3], np.float32), np.int32(4)]
    yield "TopKV2", {"sorted": False}, [shuffled(rng, np.float32, (3, 4)), np.int32(1)]
    yield "TopK", {"k": 5}, [shuffled(rng, np.float32, (3, 4))]


def others(rng):
    for dtype in REAL:
        for reverse in (False, True):
            yield "NthElement", {"reverse": reverse}, [numbers(rng, dtype, (3, 7)), np.int32(2)]
    yield "NthElement", {}, [numbers(rng, np.float32, (3, 7)), np.int32(7)]
    yield "NthElement", {}, [numbers(rng, np.float32, (0, 7)), np.int32(1)]
    predictions = numbers(rng, np.float32, (6, 5))
    predictions[2, 3] = np.nan
    predictions[3, 1] = np.inf
    predictions[4, 2] = predictions[4, 0]
    for targets in (np.int32, np.int64):
        for k in (0, 1, 2, 5, 9):
            yield "InTopK", {"k": k}, [predictions, np.array([0, 4, 1, 1, 2, 7], targets)]
            yield "InTopKV2", {}, [predictions, np.array([0, 4, 3, 1, 0, -1], targets), np.array(k, targets)]
    yield "InTopK", {"k": 1}, [predictions, np.array([0, 4], np.int32)]


def cases():
    rng = np.random.RandomState(6)
    yield from arg_extremes(rng)
    yield from top_k(rng)
    yield from others(rng)
