"""Random ops. TensorFlow keeps a stateful op's generator between calls of equal attributes, so every case has its own seed."""
import itertools

import numpy as np

SEEDS = itertools.count(1000)
FLOATS = ["float32", "float64", "float16", "bfloat16"]


def seeds():
    n = next(SEEDS)
    return {"seed": n, "seed2": n * 7919}


def shape(*dims):
    return np.array(dims, np.int32)


def stateful():
    for op in ("RandomUniform", "RandomStandardNormal", "TruncatedNormal"):
        for dtype in FLOATS:
            for dims in ((), (1,), (7,), (3, 5), (0, 2), (2, 3, 50)):
                yield (op, {"dtype": dtype, **seeds()}, [shape(*dims)])
        yield (op, {"dtype": "float32", "seed": 0, "seed2": 77 + len(op)}, [np.array([9], np.int64)])
        yield (op, {"dtype": "float32", "seed": 0, "seed2": 0}, [shape(100)], {"check": "shape"})
        yield (op, {"dtype": "float32", **seeds()}, [shape(-1)])
    for dtype in (np.int32, np.int64):
        for low, high in ((0, 10), (-5, 6), (np.iinfo(dtype).min, np.iinfo(dtype).max), (3, 4), (5, 5), (7, 2)):
            for dims in ((13,), (2, 3), (0,)):
                yield ("RandomUniformInt", seeds(), [shape(*dims), np.array(low, dtype), np.array(high, dtype)])
    for x in (np.arange(20), np.arange(24, dtype=np.float32).reshape(6, 4), np.array(5), np.arange(3).reshape(1, 3), np.zeros((0, 2)),
              np.array([b"a", b"b", b"c", b"d"], object), np.zeros((4, 0), np.float32)):
        yield ("RandomShuffle", seeds(), [x])
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]))
    for dtype in (np.float32, np.float64, np.float16):
        for out in ("int32", "int64"):
            yield ("Multinomial", {"output_dtype": out, **seeds()}, [logits.astype(dtype), np.array(21, np.int32)])
    yield ("Multinomial", seeds(), [np.array([[0, -np.inf, 1.0, np.nan]], np.float32), np.array(10, np.int32)])
    yield ("Multinomial", seeds(), [logits, np.array(0, np.int32)])
    yield ("Multinomial", seeds(), [logits, np.array(-1, np.int32)])
    yield ("Multinomial", seeds(), [logits[0], np.array(3, np.int32)])
    yield ("Multinomial", seeds(), [np.zeros((2, 0), np.float32), np.array(3, np.int32)])
    for dtype in (np.float32, np.float64, np.float16):
        yield ("RandomGamma", seeds(), [shape(5), np.array([0.3, 1.0, 2.5, 20.0], dtype)])
        yield ("RandomGamma", seeds(), [shape(2, 3), np.array(0.9, dtype)])
        yield ("RandomGamma", seeds(), [shape(0), np.array([1, 2], dtype)])
        for out in ("int64", "int32", "float32", "float64"):
            yield ("RandomPoissonV2", {"dtype": out, **seeds()}, [shape(6), np.array([[0.0, 0.5, 3.0], [9.9, 10.0, 1000.0]], dtype)])
    yield ("RandomPoissonV2", seeds(), [shape(0, 4), np.array([1.0, 2.0])])


def stateless():
    for seed in (np.array([1, 2], np.int32), np.array([-3, 4], np.int32), np.array([2**40 + 5, -2**50], np.int64)):
        for op in ("StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal"):
            for dtype in FLOATS:
                yield (op, {"dtype": dtype}, [shape(3, 7), seed])
            yield (op, {"dtype": "float32"}, [np.array([0, 4], np.int64), seed])
        for dtype in (np.int32, np.int64):
            yield ("StatelessRandomUniformInt", {}, [shape(11), seed, np.array(-4, dtype), np.array(100, dtype)])
        for dtype in ("int32", "int64", "uint32", "uint64"):
            yield ("StatelessRandomUniformFullInt", {"dtype": dtype}, [shape(11), seed])
        yield ("StatelessRandomGetKeyCounter", {}, [seed])
        yield ("StatelessRandomGetKeyCounterAlg", {}, [seed])
        yield ("StatelessMultinomial", {}, [np.log(np.array([[0.1, 0.9], [0.6, 0.4]], np.float32)), np.array(15, np.int32), seed])
    yield ("StatelessRandomUniform", {"dtype": "float32"}, [shape(3), np.array([1], np.int32)])
    yield ("StatelessRandomGetAlg", {}, [])
    for key, counter in ((5, (1, 2)), (2**63 + 11, (2**64 - 1, 2**64 - 1)), (7, (2**64 - 2, 5))):
        operands = [np.array([key], np.uint64), np.array(counter, np.uint64)]
        for alg in (1, 3):
            tail = operands + [np.array(alg, np.int32)]
            for op in ("StatelessRandomUniformV2", "StatelessRandomNormalV2", "StatelessTruncatedNormalV2"):
                for dtype in FLOATS:
                    yield (op, {"dtype": dtype}, [shape(5, 5)] + tail)
            for dtype in (np.int32, np.int64):
                yield ("StatelessRandomUniformIntV2", {}, [shape(11)] + tail + [np.array(-4, dtype), np.array(100, dtype)])
            for dtype in ("int32", "int64", "uint32", "uint64"):
                yield ("StatelessRandomUniformFullIntV2", {"dtype": dtype}, [shape(11)] + tail)
    yield ("StatelessRandomUniformV2", {"dtype": "float32"}, [shape(3), np.array([1], np.uint64), np.array([1, 2], np.uint64), np.array(9, np.int32)])


def cases():
    yield from stateful()
    yield from stateless()
