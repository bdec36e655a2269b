"""Choosing and generating elements."""
import numpy as np
from cases_binary import BF16, FLOATS, NUMBERS, REAL, numbers


def choices(rng):
    flags = lambda *shape: np.asarray(rng.rand(*shape) < 0.5)
    words = np.array([[b"a", b"bc", b""], [b"x", b"yy", b"zzz"]], object)
    for dtype in NUMBERS + [np.bool_]:
        yield "Select", {}, [flags(2, 3), numbers(rng, dtype, (2, 3)), numbers(rng, dtype, (2, 3))]
        yield "SelectV2", {}, [flags(2, 1), numbers(rng, dtype, (3,)), numbers(rng, dtype, (2, 3))]
    f = np.float32
    for op in ("Select", "SelectV2"):
        yield op, {}, [flags(2, 3), words, words[::-1].copy()]
        for c, a, b in [((), (2, 3), (2, 3)), ((2,), (2, 3), (2, 3)), ((2,), (2,), (2,)), ((2,), (2, 2, 2), (2, 2, 2)), ((), (), ()), ((0,), (0, 3), (0, 3)),
                        ((3,), (2, 3), (2, 3)), ((2, 1), (2, 3), (2, 3)), ((2, 3), (), ()), ((2, 3), (2, 3), ()), ((4, 1, 1), (2, 1), (3,)), ((2,), (3,), (3,)),
                        ((1, 0), (3, 1), ())]:
            yield op, {}, [flags(*c), numbers(rng, f, a), numbers(rng, f, b)]


def positions(rng):
    for dtype in NUMBERS + [np.bool_]:
        for shape in [(7,), (2, 3), (2, 1, 4), (0,), (2, 0), ()]:
            yield "Where", {}, [(numbers(rng, dtype, shape) * (rng.rand(*shape) < 0.6)).astype(dtype)]
    yield "Where", {}, [np.array([0.0, -0.0, np.nan, np.inf, 1e-30], np.float32)]


def sequences(rng):
    for dtype in REAL:
        for shape in [(3,), (2, 3), (0, 3), (2, 2, 3)]:
            yield "Cross", {}, [numbers(rng, dtype, shape), numbers(rng, dtype, shape)], {"tolerance": 4.0}
    yield "Cross", {}, [numbers(rng, np.float32, (4,)), numbers(rng, np.float32, (4,))]
    yield "Cross", {}, [numbers(rng, np.float32, (2, 3)), numbers(rng, np.float32, (3,))]
    for dtype in (np.float32, np.float64):
        for start, stop, count in [(0, 1, 5), (3, -2.5, 11), (1, 1, 3), (2, 9, 1), (0, 1, 2), (0, 1, 0), (0, 1, -1), (-1, 1, 300)]:
            for index in (np.int32, np.int64):
                yield "LinSpace", {}, [dtype(start), dtype(stop), index(count)]
    for dtype in FLOATS + [np.int32, np.int64]:
        for start, limit, delta in [(0, 5, 1), (3, 18, 3), (3, 1, -1), (0, 0, 1), (0, 5, 2), (5, 0, -2), (0, 5, 0), (5, 0, 1), (0, 5, -1), (0, 7, 3)]:
            yield "Range", {}, [np.array(v, dtype) for v in (start, limit, delta)]
    for dtype in FLOATS:
        yield "Range", {}, [np.array(v, dtype) for v in (0.5, 2.25, 0.25)]
        yield "Range", {}, [np.array(v, dtype) for v in (0, 1, 0.1)]
    yield "Range", {}, [np.float32(v) for v in (0, 100, 0.3)]
    yield "Range", {}, [np.int32(-2**31), np.int32(2**31 - 1), np.int32(2**30)]
    yield "Range", {}, [np.array([0], np.int32), np.int32(3), np.int32(1)]


def coordinates():
    for index in (np.int32, np.int64):
        dims = np.array([3, 4, 5], index)
        for flat in (7, [0, 59, 22], [60]):
            yield "UnravelIndex", {}, [np.array(flat, index), dims]
        yield "UnravelIndex", {}, [np.array([1], index), np.array([2, 0], index)]
        yield "UnravelIndex", {}, [np.array([1], index), np.array(4, index)]


def cases():
    rng = np.random.RandomState(10)
    yield from choices(rng)
    yield from positions(rng)
    yield from sequences(rng)
    yield from coordinates()
