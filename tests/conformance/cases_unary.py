"""Element-wise ops of one operand."""
import numpy as np
from cases_binary import BF16, COMPLEX, FLOATS, NUMBERS, REAL, SIGNED, UNSIGNED, extremes, numbers

SPECIAL = np.array([0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -1.5, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-6, -1e-6, 20.0, -20.0, 90.0, -90.0, 1e5])
FC = FLOATS + COMPLEX
OPS = {
    "Abs": FLOATS + SIGNED, "Neg": FC + SIGNED, "Sign": FC + SIGNED, "Square": NUMBERS, "Sqrt": FC, "Rsqrt": FC, "Reciprocal": FC, "Inv": FC,
    "Exp": FC, "Expm1": FC, "Log": FC, "Log1p": FC, "Sin": FC, "Cos": FC, "Tan": FC, "Asin": FC, "Acos": FC, "Atan": FC, "Sinh": FC, "Cosh": FC,
    "Tanh": FC, "Asinh": FC, "Acosh": FC, "Atanh": FC, "Sigmoid": FC, "Erf": FLOATS, "Erfc": FLOATS, "Floor": FLOATS, "Ceil": FLOATS,
    "Round": FLOATS, "Rint": [np.float32, np.float64], "IsNan": FLOATS, "IsInf": FLOATS, "IsFinite": FLOATS,
    "Invert": SIGNED + UNSIGNED, "Relu": REAL, "Relu6": REAL, "LeakyRelu": FLOATS, "Elu": FLOATS, "Selu": FLOATS, "Softplus": FLOATS,
    "Softsign": FLOATS, "PopulationCount": SIGNED + UNSIGNED, "LogicalNot": [np.bool_],
}
# Branch cuts and infinities of complex functions are the C++ library's own; elsewhere a few units of the last place more.
UNIT = {"Asin", "Acos", "Atanh"}
LOOSE = {"tolerance": 8.0}


def elementary(rng):
    for op, dtypes in OPS.items():
        for k, dtype in enumerate(dtypes):
            kind = np.dtype(dtype).kind
            options = LOOSE if kind == "c" or op in ("Tan", "Erfc", "Rsqrt") else {}
            scale = 0.25 if op in UNIT and kind not in "iub" else 1
            for shape in [(), (7,), (2, 3), (0, 3), (3, 37)] if k == 0 else [(17,), (0,)]:
                yield op, {}, [np.asarray(numbers(rng, dtype, shape) * scale).astype(dtype)], options
            if kind in "iu":
                yield op, {}, [extremes(dtype)]
            elif kind in "fV":
                # TensorFlow's double erf makes NaN of infinity
                yield op, {}, [(SPECIAL[np.isfinite(SPECIAL)] if op == "Erf" else SPECIAL).astype(dtype)], options
    for alpha in (0.0, 0.5, 1.5, -0.3):
        for dtype in FLOATS:
            yield "LeakyRelu", {"alpha": alpha}, [SPECIAL.astype(dtype)]
    yield "Softplus", {}, [np.linspace(-30, 30, 200).astype(np.float32)]
    yield "Softplus", {}, [np.linspace(-60, 60, 200)]
    for dtype in FLOATS:
        yield "Round", {}, [(np.arange(-20, 20) / 4).astype(dtype)]
        for op in ("CheckNumerics", "CheckNumericsV2"):
            yield op, {"message": "here"}, [numbers(rng, dtype, (3, 2))]
            yield op, {"message": "here"}, [np.array([1, np.nan], dtype)]
            yield op, {"message": "here"}, [np.array([1, -np.inf], dtype)]
            yield op, {"message": "here"}, [np.zeros([0], dtype)]


def clipping(rng):
    for dtype in REAL:
        low, high = np.array(2, dtype), np.array(5, dtype)
        yield "ClipByValue", {}, [numbers(rng, dtype, (3, 4)), low, high]
        yield "ClipByValue", {}, [numbers(rng, dtype, (3, 4)), high, low]
        yield "ClipByValue", {}, [numbers(rng, dtype, (3, 4)), numbers(rng, dtype, (3, 4)), numbers(rng, dtype, (3, 4))]
        yield "ClipByValue", {}, [numbers(rng, dtype, (3, 4)), low, numbers(rng, dtype, (3, 4))]
        yield "ClipByValue", {}, [numbers(rng, dtype, (3, 4)), numbers(rng, dtype, (3, 4)), high]
    yield "ClipByValue", {}, [np.zeros([0, 2], np.float32), np.float32(0), np.float32(1)]
    yield "ClipByValue", {}, [np.float32(3), np.float32(0), np.float32(1)]
    yield "ClipByValue", {}, [SPECIAL.astype(np.float32), np.float32(-1), np.float32(1)]
    yield "ClipByValue", {}, [np.zeros([2], np.float32), np.zeros([3], np.float32), np.float32(1)]


def cases():
    rng = np.random.RandomState(2)
    yield from elementary(rng)
    yield from clipping(rng)
