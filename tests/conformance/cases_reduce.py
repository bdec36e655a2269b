"""Reductions along axes."""
import numpy as np
from cases_binary import COMPLEX, FLOATS, NUMBERS, REAL, SIGNED, UNSIGNED, numbers

OPS = {"Sum": NUMBERS, "Mean": NUMBERS, "Prod": NUMBERS, "Max": REAL, "Min": REAL, "EuclideanNorm": NUMBERS, "All": [np.bool_], "Any": [np.bool_]}
AXES = [((5,), [0]), ((5,), [-1]), ((2, 3, 4), [1]), ((2, 3, 4), [0, 2]), ((2, 3, 4), [-3, 1]), ((2, 3, 4), []), ((2, 3, 4), [0, 1, 2]),
        ((3, 50), [1]), ((50, 3), [0]), ((2, 3, 2, 3), [1, 3]), ((2, 3, 2, 3), [0, 2]), ((1, 4, 1), [0]), ((1, 4, 1), [1]), ((), [])]


def special(dtype):
    return np.array([[1, np.nan, 2], [np.inf, 1, -np.inf], [np.inf, 2, 3], [-np.inf, -np.inf, -np.inf], [np.nan] * 3, [0.0, -0.0, 0.0]], dtype)


def cases():
    rng = np.random.RandomState(4)
    for op, dtypes in OPS.items():
        for k, dtype in enumerate(dtypes):
            options = {"tolerance": 4.0} if np.dtype(dtype).itemsize == 2 else {}
            for i, (shape, axes) in enumerate(AXES if k == 0 or dtype == np.int32 else AXES[:6]):
                value = numbers(rng, dtype, shape)
                if op == "Prod" and value.dtype.kind in "fVc":
                    value = (value * 0.5).astype(dtype)
                index = np.int64 if i % 3 == 2 else np.int32
                for keep in (False, True):
                    yield op, {"keep_dims": keep}, [value, np.array(axes, index)], options
        dtype = dtypes[0]
        yield op, {}, [numbers(rng, dtype, (2, 3)), np.int32(1)]
        yield op, {}, [numbers(rng, dtype, (2, 3)), np.int32(-2)]
        yield op, {}, [numbers(rng, dtype, (2, 3)), np.array([2], np.int32)]
        yield op, {}, [numbers(rng, dtype, (2, 3)), np.array([0, 0], np.int32)]
        yield op, {}, [numbers(rng, dtype, (2, 3)), np.array([0, -2], np.int32)]
        for shape, axes in [((0,), [0]), ((0, 3), [0]), ((0, 3), [1]), ((2, 0), [1]), ((2, 0, 3), [0]), ((2, 0, 3), [1, 2])]:
            for dtype in dtypes:
                if op == "Mean" and np.dtype(dtype).kind in "iu":
                    continue  # TensorFlow divides by zero
                yield op, {}, [np.zeros(shape, dtype), np.array(axes, np.int32)]
    for op in ("Sum", "Mean", "Prod", "Max", "Min", "EuclideanNorm"):
        for dtype in FLOATS:
            for axis in (0, 1):
                yield op, {}, [special(dtype), np.array([axis], np.int32)]
    for op in ("Sum", "Mean", "Max", "EuclideanNorm"):
        yield op, {}, [(rng.rand(40, 1000) * 3).astype(np.float16), np.int32(1)], {"tolerance": 4.0}
        yield op, {}, [rng.rand(20000).astype(np.float32), np.int32(0)]
        yield op, {}, [rng.rand(4, 33, 60).astype(np.float32), np.array([0, 2], np.int32)]
    for op in ("Sum", "Mean", "Prod", "Max", "Min"):
        for dtype in SIGNED + UNSIGNED:
            info = np.iinfo(dtype)
            yield op, {}, [np.array([[info.max, info.max, info.max, 1], [info.min, info.min, 3, 7]], dtype), np.int32(1)]
            yield op, {}, [np.array([[info.max, info.max, info.max, 1], [info.min, info.min, 3, 7]], dtype), np.int32(0)]
    for dtype in FLOATS:
        for shape in [(), (7,), (3, 5), (0,)]:
            yield "L2Loss", {}, [numbers(rng, dtype, shape)]
