"""Batch and local response normalisation, softmax and its losses."""
import numpy as np
from cases_binary import BF16, FLOATS, numbers

SPECIAL = np.float32([[0, 1, np.inf], [np.nan, 1, 2], [-np.inf, -np.inf, 1], [-np.inf, -np.inf, -np.inf], [1000, 1001, 999], [-1e30, 0, 1e-30]])


def softmax(rng):
    for op in ("Softmax", "LogSoftmax"):
        for dtype in FLOATS:
            for shape in [(5,), (2, 3), (2, 3, 4), (1, 1), (0, 3), (2, 2, 2, 37)]:
                yield op, {}, [numbers(rng, dtype, shape)]
        yield op, {}, [np.float32(3)]
        yield op, {}, [np.zeros([3, 0], np.float32)]
        yield op, {}, [SPECIAL[[2, 4, 5]]]  # oneDNN leaves some classes beside a NaN at 0
        yield op, {}, [SPECIAL.astype(np.float64)[[1, 2, 4, 5]]]


def losses(rng):
    for dtype in FLOATS:
        for a, b in [((3, 4), (3, 4)), ((1, 4), (3, 4)), ((3, 4), (1, 4)), ((3, 4), (3, 1)), ((3, 4), (4,)), ((2, 3, 4), (2, 3, 4)), ((0, 4), (0, 4)), ((3, 4), (3, 5))]:
            yield "SoftmaxCrossEntropyWithLogits", {}, [numbers(rng, dtype, a), np.abs(numbers(rng, dtype, b))]
        for label in (np.int32, np.int64):
            yield "SparseSoftmaxCrossEntropyWithLogits", {}, [numbers(rng, dtype, (3, 5)), label([0, 4, 2])]
    f = np.float32
    yield "SparseSoftmaxCrossEntropyWithLogits", {}, [numbers(rng, f, (3, 5)), np.int32([0, 4])]
    yield "SparseSoftmaxCrossEntropyWithLogits", {}, [numbers(rng, f, (0, 5)), np.zeros([0], np.int32)]
    yield "SparseSoftmaxCrossEntropyWithLogits", {}, [numbers(rng, f, (3, 5)), np.int32([[0, 4, 1]])]
    yield "SparseSoftmaxCrossEntropyWithLogits", {}, [numbers(rng, f, (5,)), np.int32([0])]
    yield "SoftmaxCrossEntropyWithLogits", {}, [SPECIAL[4:], f([[0, 1, 0], [1, 0, 0]])]


def batch_norm(rng):
    def operands(dtype, shape, channels, statistics=None):
        f = np.float32
        own = channels if statistics is None else statistics
        return [numbers(rng, dtype, shape), numbers(rng, f, (channels,)), numbers(rng, f, (channels,)), numbers(rng, f, (own,)), numbers(rng, f, (own,), True)]

    for op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
        for dtype in (np.float32,) if op == "FusedBatchNorm" else (np.float32, np.float16, BF16):
            attrs = {} if op == "FusedBatchNorm" else {"U": "float32"}
            for training in (False, True):
                # Without oneDNN the reserves of inference are not initialised.
                options = {"check": "shape"} if dtype is np.float16 and not training else {"tolerance": 4.0}
                yield op, {**attrs, "is_training": training, "epsilon": 0.01}, operands(dtype, (2, 3, 4, 5), 5, 0 if training else None), options
                yield op, {**attrs, "is_training": training, "data_format": "NCHW"}, operands(dtype, (2, 5, 3, 4), 5, 0 if training else None), options
            yield op, {**attrs, "is_training": True, "exponential_avg_factor": 0.25}, operands(dtype, (2, 3, 4, 5), 5), {"tolerance": 4.0}
            yield op, {**attrs, "is_training": True}, operands(dtype, (1, 1, 1, 3), 3, 0), {"tolerance": 4.0}
            if dtype is not np.float16:
                yield op, {**attrs, "is_training": False}, operands(dtype, (0, 3, 4, 5), 5)
    attrs = {"U": "float32", "is_training": False}
    yield "FusedBatchNormV3", {**attrs, "data_format": "NDHWC"}, operands(np.float32, (2, 2, 3, 2, 4), 4), {"check": "shape"}
    yield "FusedBatchNormV3", {**attrs, "data_format": "NCDHW"}, operands(np.float32, (2, 4, 2, 3, 2), 4), {"check": "shape"}
    yield "FusedBatchNormV3", {**attrs, "data_format": "NDHWC", "is_training": True}, operands(np.float32, (2, 2, 3, 2, 4), 4, 0), {"tolerance": 4.0}
    yield "FusedBatchNormV3", attrs, operands(np.float32, (2, 3, 4, 5), 4)


def lrn(rng):
    for dtype in (np.float32, np.float16, BF16):
        for shape in ((1, 2, 2, 7), (2, 1, 3, 1), (0, 2, 2, 3)):
            yield "LRN", {}, [numbers(rng, dtype, shape)]
            yield "LRN", {"depth_radius": 1, "bias": 2.0, "alpha": 0.3, "beta": 0.75}, [numbers(rng, dtype, shape)]
    yield "LRN", {"depth_radius": 0}, [numbers(rng, np.float32, (1, 2, 2, 7))]
    yield "LRN", {}, [numbers(rng, np.float32, (2, 7))]


def cases():
    rng = np.random.RandomState(17)
    yield from softmax(rng)
    yield from losses(rng)
    yield from batch_norm(rng)
    yield from lrn(rng)
