"""Pooling."""
import numpy as np
from cases_binary import BF16, FLOATS, REAL, numbers


def cases():
    rng = np.random.RandomState(13)
    f = np.float32
    for op in ("MaxPool", "AvgPool"):
        for shape in ((1, 5, 6, 3), (2, 4, 4, 1), (1, 7, 3, 5)):
            for ksize, strides in (([2, 2], [2, 2]), ([3, 3], [1, 1]), ([3, 2], [2, 1]), ([1, 1], [2, 2]), ([2, 3], [3, 3])):
                for padding in ("SAME", "VALID"):
                    yield op, {"ksize": [1] + ksize + [1], "strides": [1] + strides + [1], "padding": padding}, [numbers(rng, f, shape)]
        for dtype in (REAL if op == "MaxPool" else FLOATS):
            yield op, {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "SAME"}, [numbers(rng, dtype, (2, 5, 5, 3))]
        for dtype in (f, BF16):
            yield op, {"ksize": [1, 1, 2, 3], "strides": [1, 1, 2, 2], "padding": "SAME", "data_format": "NCHW"}, [numbers(rng, dtype, (2, 3, 5, 5))]
        yield op, {"ksize": [1, 2, 2, 1], "strides": [2, 1, 1, 1], "padding": "SAME"}, [numbers(rng, f, (2, 3, 5, 5))]
        yield op, {"ksize": [1, 2, 2], "strides": [1, 1, 1, 1], "padding": "SAME"}, [numbers(rng, f, (2, 3, 5, 5))]
        yield op, {"ksize": [1, 2, 2, 1], "strides": [1, 0, 1, 1], "padding": "SAME"}, [numbers(rng, f, (2, 3, 5, 5))]
    attrs = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1], "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 2, 0, 1, 0, 0]}
    yield "MaxPool", attrs, [numbers(rng, f, (2, 5, 5, 3))]
    for dtype in (np.int32, np.uint8, np.float64):
        yield "MaxPool", attrs, [numbers(rng, dtype, (2, 5, 5, 3))]
    yield "MaxPool", {"ksize": [1, 1, 1, 2], "strides": [1, 1, 1, 2], "padding": "VALID"}, [numbers(rng, f, (2, 3, 3, 6))]
    special = numbers(rng, f, (1, 4, 4, 2))
    special[0, 1, 1, 0] = np.inf
    special[0, 2, 3, 1] = -np.inf
    yield "MaxPool", {"ksize": [1, 2, 2, 1], "strides": [1, 1, 1, 1], "padding": "SAME"}, [special]
    yield "AvgPool", {"ksize": [1, 2, 2, 1], "strides": [1, 1, 1, 1], "padding": "SAME"}, [special]
    for padding in ("SAME", "VALID"):
        for dtype in (f, np.int32, np.float16, np.float64):
            yield "MaxPoolV2", {"padding": padding}, [numbers(rng, dtype, (1, 5, 6, 3)), np.int32([1, 3, 2, 1]), np.int32([1, 2, 1, 1])]
        for op in ("MaxPool3D", "AvgPool3D"):
            for dtype in (f, np.float16, BF16) if op == "MaxPool3D" else FLOATS:
                attrs = {"ksize": [1, 2, 3, 2, 1], "strides": [1, 2, 1, 2, 1], "padding": padding}
                yield op, attrs, [numbers(rng, dtype, (2, 4, 5, 5, 2))]
            yield op, {"ksize": [1, 1, 2, 2, 2], "strides": [1, 1, 2, 2, 2], "padding": padding, "data_format": "NCDHW"}, [numbers(rng, f, (2, 2, 4, 5, 4))]
        for batch in (False, True):
            for target in ("int64", "int32"):
                for dtype in REAL:
                    attrs = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 2, 1], "padding": padding, "include_batch_in_index": batch, "Targmax": target}
                    yield "MaxPoolWithArgmax", attrs, [numbers(rng, dtype, (2, 5, 6, 3))]
