"""Element-wise ops of two operands."""
import ml_dtypes
import numpy as np

BF16 = ml_dtypes.bfloat16
FLOATS = [np.float32, np.float64, np.float16, BF16]
SIGNED = [np.int8, np.int16, np.int32, np.int64]
UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]
COMPLEX = [np.complex64, np.complex128]
REAL = FLOATS + SIGNED + UNSIGNED
NUMBERS = REAL + COMPLEX
SHAPES = [((5,), (5,)), ((), (3,)), ((2, 3), ()), ((2, 1, 3), (4, 1)), ((2, 3, 4), (3, 1)), ((0, 3), (1, 3)), ((3, 0), ()), ((2, 3, 4), (4,)),
          ((1, 1), (1,)), ((2, 3), (2, 3)), ((3,), (2,)), ((4, 1, 2, 1), (3, 1, 5)), ((5, 20, 3), (3,)), ((70, 2), (2,))]
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -2.5, 1e-30])


def numbers(rng, dtype, shape, positive=False):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.asarray(rng.rand(*shape) < 0.5)
    if dtype.kind == "c":
        return np.asarray(rng.uniform(-3, 3, shape) + 1j * rng.uniform(-3, 3, shape)).astype(dtype)
    if dtype.kind == "u":
        return np.asarray(rng.randint(0, 12, shape)).astype(dtype)
    if dtype.kind == "i":
        return np.asarray(rng.randint(0 if positive else -9, 10, shape)).astype(dtype)
    return np.asarray(rng.uniform(0.1 if positive else -4, 4, shape)).astype(np.float32).astype(dtype)


def nonzero(array):
    return np.where(array == 0, np.array(3, array.dtype), array).astype(array.dtype)


def extremes(dtype):
    info = np.iinfo(dtype)
    return np.array([info.min, info.max, 0, 1, info.max // 2, info.min // 2, 7, info.max - 1], dtype)


def special_pairs(dtype):
    x, y = np.meshgrid(SPECIAL, SPECIAL)
    return x.reshape(-1).astype(dtype), y.reshape(-1).astype(dtype)


ARITHMETIC = {
    "Add": [t for t in NUMBERS if t not in (np.uint16, np.uint32, np.uint64)], "AddV2": NUMBERS, "Sub": NUMBERS, "Mul": NUMBERS, "Div": NUMBERS,
    "RealDiv": FLOATS + COMPLEX, "FloorDiv": REAL, "TruncateDiv": REAL, "FloorMod": REAL, "Mod": [np.float32, np.float64, np.int32, np.int64],
    "TruncateMod": [np.float32, np.float64, np.int32, np.int64], "DivNoNan": FLOATS + COMPLEX, "MulNoNan": FLOATS + COMPLEX,
    "Xdivy": FLOATS + COMPLEX, "Xlogy": FLOATS + COMPLEX, "Xlog1py": FLOATS + COMPLEX, "Maximum": REAL, "Minimum": REAL,
    "Pow": FLOATS + COMPLEX + SIGNED, "SquaredDifference": FLOATS + COMPLEX + [np.int32, np.int64], "Atan2": FLOATS,
    "NextAfter": [np.float32, np.float64], "Less": REAL, "LessEqual": REAL, "Greater": REAL, "GreaterEqual": REAL, "Equal": NUMBERS + [np.bool_],
    "NotEqual": NUMBERS + [np.bool_], "LogicalAnd": [np.bool_], "LogicalOr": [np.bool_], "BitwiseAnd": SIGNED + UNSIGNED,
    "BitwiseOr": SIGNED + UNSIGNED, "BitwiseXor": SIGNED + UNSIGNED, "LeftShift": SIGNED + UNSIGNED, "RightShift": SIGNED + UNSIGNED,
}
DIVIDES = {"Div", "FloorDiv", "TruncateDiv", "FloorMod", "Mod", "TruncateMod"}
POSITIVE = {"Xlogy", "Xlog1py", "Pow"}


def broadcasting(rng):
    for op, dtypes in ARITHMETIC.items():
        for k, dtype in enumerate(dtypes):
            shapes = SHAPES if k == 0 or dtype == np.int32 else SHAPES[:5]
            for a, b in shapes:
                x = numbers(rng, dtype, a, op in POSITIVE)
                y = numbers(rng, dtype, b, op in POSITIVE)
                if op in DIVIDES and np.dtype(dtype).kind in "iu":
                    y = nonzero(y)
                yield op, {}, [x, y]


def edges():
    for op, dtypes in ARITHMETIC.items():
        for dtype in dtypes:
            kind = np.dtype(dtype).kind
            if kind in "iu":
                x, y = (v.reshape(-1) for v in np.meshgrid(extremes(dtype), extremes(dtype)))
                if op in DIVIDES:
                    y = nonzero(y)
                    if kind == "i":
                        keep = ~((x == np.iinfo(dtype).min) & (y == -1))
                        x, y = x[keep], y[keep]
                if op == "Pow":
                    y = np.where(y < 0, np.array(3, dtype), y).astype(dtype)
                if op in ("LeftShift", "RightShift"):
                    y = np.clip(y, 0, np.iinfo(dtype).bits - 1).astype(dtype)
                yield op, {}, [x, y]
                if op in DIVIDES:
                    yield op, {}, [np.array([1, 2], dtype), np.array([1, 0], dtype)]
                    yield op, {}, [np.array([1, 2], dtype), np.array(0, dtype)]
                    yield op, {}, [np.zeros([0, 2], dtype), np.array([0, 0], dtype)]
            elif kind in "fV":
                yield op, {}, list(special_pairs(dtype))
    for dtype in SIGNED:
        yield "Pow", {}, [np.array([2, 3], dtype), np.array([1, -1], dtype)]


def strings():
    words = np.array([b"a", b"bc", b"", b"\xff\x00z"], object)
    for op in ("Add", "Equal", "NotEqual"):
        yield op, {}, [words, words[::-1].copy()]
        yield op, {}, [words.reshape(2, 2), np.array(b"bc", object)]
        yield op, {}, [np.zeros([0], object).astype("S1").astype(object), np.array(b"bc", object)]


def equality(rng):
    for op in ("Equal", "NotEqual"):
        for strict in (True, False):
            yield op, {"incompatible_shape_error": strict}, [np.arange(3), np.arange(2)]
            yield op, {"incompatible_shape_error": strict}, [np.arange(3), np.arange(3)]
            yield op, {"incompatible_shape_error": strict}, [np.arange(3), np.array(1)]
            yield op, {"incompatible_shape_error": strict}, [np.arange(6).reshape(3, 2), np.arange(3)]
    for dtype in (np.float32, np.float64):
        x = numbers(rng, dtype, (40,))
        yield "ApproximateEqual", {}, [x, (x + np.linspace(-3e-5, 3e-5, 40)).astype(dtype)]
        yield "ApproximateEqual", {"tolerance": 0.5}, [x, numbers(rng, dtype, (40,))]
        yield "ApproximateEqual", {}, [SPECIAL.astype(dtype), SPECIAL[::-1].astype(dtype)]
        yield "ApproximateEqual", {}, [x, x[:3]]


def bias(rng):
    for dtype in NUMBERS:
        yield "BiasAdd", {}, [numbers(rng, dtype, (2, 3, 4)), numbers(rng, dtype, (4,))]
    for shape in [(2, 3), (2, 3, 2), (2, 3, 2, 4), (1, 3, 2, 2, 2), (0, 3, 2, 2)]:
        yield "BiasAdd", {"data_format": "NCHW"}, [numbers(rng, np.float32, shape), numbers(rng, np.float32, (3,))]
        yield "BiasAdd", {"data_format": "NHWC"}, [numbers(rng, np.float32, shape), numbers(rng, np.float32, shape[-1:])]
        yield "BiasAddV1", {}, [numbers(rng, np.float32, shape), numbers(rng, np.float32, shape[-1:])]
    yield "BiasAdd", {}, [numbers(rng, np.float32, (2, 3)), numbers(rng, np.float32, (2,))]
    yield "BiasAdd", {}, [numbers(rng, np.float32, (3,)), numbers(rng, np.float32, (3,))]
    yield "BiasAdd", {}, [numbers(rng, np.float32, (3, 3)), numbers(rng, np.float32, (1, 3))]


def many(rng):
    for dtype in NUMBERS:
        yield "AddN", {}, [numbers(rng, dtype, (3, 5)) for _ in range(5)]
    for count in (1, 2, 9, 17):
        yield "AddN", {}, [numbers(rng, np.float32, (300,)) for _ in range(count)]
    yield "AddN", {}, [np.zeros([0, 2], np.float32)] * 3
    yield "AddN", {}, [np.zeros([2], np.float32), np.zeros([3], np.float32)]


def cases():
    rng = np.random.RandomState(1)
    yield from broadcasting(rng)
    yield from edges()
    yield from strings()
    yield from equality(rng)
    yield from bias(rng)
    yield from many(rng)
