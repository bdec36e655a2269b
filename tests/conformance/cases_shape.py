"""Shapes, and changing them without moving elements."""
import numpy as np
from cases_binary import NUMBERS, numbers

SHAPES = [(), (1,), (5,), (2, 3), (1, 4, 1), (0,), (3, 0, 2), (2, 1, 3, 1, 2)]
STRINGS = np.array([b"a", b"", b"xyz", b"\xff\x00b", b"q", b"end"], dtype=object)


def sample(rng, dtype, shape):
    count = int(np.prod(shape))
    if dtype is object:
        return np.resize(STRINGS, count).reshape(shape)
    if dtype is np.bool_:
        return rng.rand(*shape) > 0.5 if shape else np.bool_(True)
    return numbers(rng, dtype, shape)


ALL = NUMBERS + [np.bool_, object]


def questions(rng):
    for shape in SHAPES:
        for out in ("int32", "int64"):
            yield "Shape", {"out_type": out}, [sample(rng, np.float32, shape)]
            yield "Size", {"out_type": out}, [sample(rng, np.int8, shape)]
            yield "ShapeN", {"out_type": out}, [sample(rng, np.float32, s) for s in (shape, (2, 2), ())]
        yield "Rank", {}, [sample(rng, np.float32, shape)]
    for dtype in ALL:
        yield "Shape", {"out_type": "int32"}, [sample(rng, dtype, (2, 3))]
        yield "ZerosLike", {}, [sample(rng, dtype, (2, 3))]
        if dtype is not object:
            yield "OnesLike", {}, [sample(rng, dtype, (2, 3))]
        yield "Reshape", {}, [sample(rng, dtype, (2, 3)), np.int32([3, 2])]
        yield "ExpandDims", {}, [sample(rng, dtype, (2, 3)), np.int32(1)]
        yield "Squeeze", {"squeeze_dims": []}, [sample(rng, dtype, (2, 1, 3))]
        yield "BroadcastTo", {}, [sample(rng, dtype, (2, 1)), np.int32([3, 2, 2])]
        yield "Fill", {}, [np.int32([2, 2]), sample(rng, dtype, ())]
    for op in ("ZerosLike", "OnesLike"):
        yield op, {}, [sample(rng, np.float32, (0, 3))]
        yield op, {}, [np.float64(3)]


def reshapes(rng):
    for shape, target in [((2, 3), [6]), ((2, 3), [-1]), ((2, 3), [3, -1]), ((2, 3), [-1, 1, 2]), ((), [1]), ((), []), ((1,), []),
                          ((), [-1]), ((0, 4), [-1, 4]), ((0, 4), [4, 0]), ((0, 4), [-1, 0]), ((0, 3), [-1, 2, 0]), ((2, 0, 3), [0, 7, 5]),
                          ((2, 3), [4, 2]), ((2, 3), [-1, -1]), ((2, 3), [-1, 4]), ((2, 3), [-2, 3]), ((2, 3), [0, -1]), ((2, 3), [6, 1, 1, 1]),
                          ((0,), [-1]), ((0,), []), ((2, 3), [1 << 30, 1 << 30])]:
        for dtype in (np.int32, np.int64):
            yield "Reshape", {}, [sample(rng, np.float32, shape), np.array(target, dtype)]
    yield "Reshape", {}, [sample(rng, np.float32, (2, 3)), np.int64([1 << 62, 4])]
    yield "Reshape", {}, [sample(rng, np.float32, (2, 3)), np.int32([[2, 3]])]
    yield "Reshape", {}, [sample(rng, np.float32, (6,)), np.int32(6)]
    for shape, dims in [((1, 2, 1), []), ((1, 2, 1), [0]), ((1, 2, 1), [-1]), ((1, 2, 1), [0, 2]), ((1, 2, 1), [0, 0]), ((1, 2, 1), [1]),
                        ((1, 2, 1), [3]), ((1, 2, 1), [-4]), ((), []), ((1,), []), ((1, 0, 1), []), ((2, 3), []), ((1, 1), [0, 1])]:
        yield "Squeeze", {"squeeze_dims": dims}, [sample(rng, np.float32, shape)]
    for shape, axis in [((), 0), ((), -1), ((), 1), ((2, 3), 0), ((2, 3), 1), ((2, 3), 2), ((2, 3), -1), ((2, 3), -3), ((2, 3), 3),
                        ((2, 3), -4), ((0,), 1)]:
        yield "ExpandDims", {}, [sample(rng, np.float32, shape), np.int32(axis)]
        yield "ExpandDims", {}, [sample(rng, np.float32, shape), np.int64([axis])]
    for shape, wanted in [((2, 3), [2, 3]), ((2, 3), [None, 3]), ((2, 3), None), ((2, 3), [3, 3]), ((2, 3), [None]), ((), []), ((0,), [0])]:
        yield "EnsureShape", {"shape": wanted}, [sample(rng, np.float32, shape)]


def broadcasts(rng):
    for shape, target in [((), [2, 3]), ((3,), [2, 3]), ((2, 1), [2, 3]), ((1, 1), [2, 3]), ((2, 3), [2, 3]), ((2, 3), [4, 2, 3]), ((1,), [0]),
                          ((3,), [0, 3]), ((2, 3), [3]), ((2,), [3]), ((1, 3, 1, 2), [2, 3, 4, 2]), ((), []), ((0,), [2, 0]), ((1,), []),
                          ((2, 1, 3), [5, 2, 7, 3]), ((2,), [-1])]:
        for dtype in (np.int32, np.int64):
            yield "BroadcastTo", {}, [sample(rng, np.float32, shape), np.array(target, dtype)]
    pairs = [([], []), ([2, 3], [3]), ([2, 1], [1, 3]), ([1, 1], [1, 1]), ([2, 3], [2, 3]), ([4, 1, 3], [2, 1]), ([0], [1]), ([5], []),
             ([2, 3, 5], [1]), ([2], [3]), ([1], [1, 1]), ([2, 3, 4, 5], [3, 1, 5]), ([1, 2, 1], [2, 1, 1]), ([0, 2], [0, 2])]
    for a, b in pairs:
        for dtype in (np.int32, np.int64):
            yield "BroadcastArgs", {}, [np.array(a, dtype), np.array(b, dtype)]
            yield "BroadcastGradientArgs", {}, [np.array(a, dtype), np.array(b, dtype)]
    for dims in ([], [3], [2, 0], [2, 3, 1], [-1], [1 << 30, 1 << 30, 1 << 30]):
        for dtype in (np.int32, np.int64):
            yield "Fill", {}, [np.array(dims, dtype), np.float32(2.5)]
    yield "Fill", {}, [np.int32([2]), np.float32([2.5])]
    yield "Fill", {}, [np.int32([[2]]), np.float32(2.5)]
    for dtype in ("float32", "int64", "bool", "string", "complex128"):
        yield "Empty", {"dtype": dtype, "init": True}, [np.int32([2, 3])]
    yield "Empty", {"dtype": "float32", "init": False}, [np.int32([2, 0])]
    yield "Empty", {"dtype": "float32", "init": True}, [np.int32([-2])]


def cases():
    rng = np.random.RandomState(5)
    yield from questions(rng)
    yield from reshapes(rng)
    yield from broadcasts(rng)
