"""Conversions between element types."""
import numpy as np
from cases_binary import BF16, COMPLEX, FLOATS, NUMBERS, REAL, SIGNED, UNSIGNED, extremes, numbers

ALL = NUMBERS + [np.bool_]


def name_of(dtype):
    return np.dtype(dtype).name


def casts(rng):
    for source in ALL:
        for target in ALL:
            values = numbers(rng, source, (9,))
            if target in UNSIGNED and np.dtype(source).kind in "fVc":  # C++ leaves negative numbers open
                values = np.abs(values).astype(source)
            yield "Cast", {"DstT": name_of(target)}, [values]
        yield "Cast", {"DstT": "float32"}, [numbers(rng, source, (0, 2))]
        yield "Cast", {"DstT": "int64"}, [numbers(rng, source, ())]
    for source in SIGNED + UNSIGNED:
        for target in ALL:
            yield "Cast", {"DstT": name_of(target)}, [extremes(source)]
    small = np.array([0.0, -0.0, 0.5, 0.99, -0.99, 1.5, -1.5, 2.5, 100.7, 127.2])
    for source in FLOATS:
        for target in ALL:
            yield "Cast", {"DstT": name_of(target)}, [np.abs(small).astype(source)]
    for target in SIGNED + UNSIGNED + [np.bool_] + FLOATS:
        yield "Cast", {"DstT": name_of(target)}, [small.astype(np.float32)]
    for source in (np.float32, np.float64):
        values = np.concatenate([rng.uniform(-1e4, 1e4, 20), [1e-9, 6e-8, 65504, 65519, 65520, 1e30, -1e30, np.inf, -np.inf, np.nan]])
        for target in FLOATS:
            for truncate in (False, True):
                yield "Cast", {"DstT": name_of(target), "Truncate": truncate}, [values.astype(source)]
    odd = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 1e19, -1e19, 1e10, 300.0, -300.0, 70000.0])
    for source in (np.float32, np.float64):
        for target in (np.int32, np.int64):
            yield "Cast", {"DstT": name_of(target)}, [odd.astype(source)]
    yield "Cast", {"DstT": "int32"}, [odd.astype(BF16)]


def bits(rng):
    for source in NUMBERS:
        for target in NUMBERS:
            a, b = np.dtype(source).itemsize, np.dtype(target).itemsize
            shape = (3,) if a >= b else (3, b // a)
            yield "Bitcast", {"type": name_of(target)}, [numbers(rng, source, shape)]
    yield "Bitcast", {"type": "uint8"}, [np.zeros([0, 2], np.float32)]
    yield "Bitcast", {"type": "float32"}, [np.zeros([0, 4], np.uint8)]
    yield "Bitcast", {"type": "float32"}, [np.zeros([3, 2], np.uint8)]
    yield "Bitcast", {"type": "float32"}, [np.uint8(3)]
    yield "Bitcast", {"type": "float32"}, [np.int32(3)]
    yield "Bitcast", {"type": "qint8"}, [np.arange(4, dtype=np.int8)]
    yield "Bitcast", {"type": "quint8"}, [np.arange(4, dtype=np.int32)]
    yield "Bitcast", {"type": "int32"}, [(np.arange(8, dtype=np.uint8).reshape(2, 4), "quint8")]


def complexes(rng):
    for dtype, part in ((np.complex64, "float32"), (np.complex128, "float64")):
        for shape in [(), (5,), (2, 3), (0,)]:
            for op in ("Real", "Imag", "Angle", "ComplexAbs"):
                yield op, {"Tout": part}, [numbers(rng, dtype, shape)]
            yield "Conj", {}, [numbers(rng, dtype, shape)]
        edges = np.array([complex(x, y) for x in (0, -0.0, np.inf, np.nan, -1) for y in (0, -0.0, -np.inf, np.nan, 2)], dtype)
        for op in ("Real", "Imag", "Angle", "ComplexAbs"):
            yield op, {"Tout": part}, [edges]
        for a, b in [((), ()), ((3,), (3,)), ((2, 1), (3,)), ((0,), (1,)), ((4, 2), ())]:
            yield "Complex", {"Tout": name_of(dtype)}, [numbers(rng, part, a), numbers(rng, part, b)]


def truth(rng):
    for dtype in [np.float32, np.float64, np.int32, np.int64, np.bool_]:
        for value in (0, 1):
            yield "ToBool", {}, [np.array(value, dtype)]
        for shape in [(2,), (0,), (1, 1)]:
            yield "ToBool", {}, [np.zeros(shape, dtype)]
    for word in (b"", b"a"):
        yield "ToBool", {}, [np.array(word, object)]


def cases():
    rng = np.random.RandomState(3)
    yield from casts(rng)
    yield from bits(rng)
    yield from complexes(rng)
    yield from truth(rng)
