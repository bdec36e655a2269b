"""Running sums and products."""
import numpy as np
from cases_binary import FLOATS, NUMBERS, extremes, numbers


def cases():
    rng = np.random.RandomState(7)
    for op in ("Cumsum", "Cumprod", "CumulativeLogsumexp"):
        dtypes = FLOATS if op == "CumulativeLogsumexp" else NUMBERS
        for k, dtype in enumerate(dtypes):
            options = {"tolerance": 4.0} if np.dtype(dtype).itemsize == 2 else {}
            for exclusive in (False, True):
                for reverse in (False, True):
                    attrs = {"exclusive": exclusive, "reverse": reverse}
                    for shape, axis in [((6,), 0), ((2, 3, 4), 1), ((2, 3, 4), -1), ((2, 3, 4), 0), ((3, 0), 1), ((0, 3), 1)][:6 if k == 0 else 3]:
                        value = numbers(rng, dtype, shape)
                        yield op, attrs, [value, (np.int32 if axis else np.int64)(axis)], options
        yield op, {}, [numbers(rng, np.float32, (3, 2)), np.int32(2)]
        yield op, {}, [numbers(rng, np.float32, (3, 2)), np.array([1], np.int32)]
        yield op, {}, [np.array([1, np.inf, -np.inf, 2, np.nan, 1], np.float32), np.int32(0)]
    yield "Cumsum", {}, [extremes(np.int32), np.int32(0)]
    yield "Cumsum", {}, [rng.rand(2, 3000).astype(np.float32), np.int32(1)]
    yield "CumulativeLogsumexp", {}, [np.array([-np.inf, -np.inf, 0, 100, -200, 300], np.float32), np.int32(0)]
    yield "CumulativeLogsumexp", {"exclusive": True}, [np.array([-np.inf, -np.inf, 0, 100, -200, 300], np.float32), np.int32(0)]
