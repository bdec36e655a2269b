"""Buckets and feature crosses."""
import numpy as np


def s(*values):
    return np.array(values, object)


def cross(sparse, dense, hashed, buckets=0, key=956888297470):
    return ("SparseCross", {"N": len(sparse), "hashed_output": hashed, "num_buckets": buckets, "hash_key": key,
                            "sparse_types": [v.dtype.name if v.dtype != object else "string" for _, v, _ in sparse],
                            "dense_types": [v.dtype.name if v.dtype != object else "string" for v in dense],
                            "out_type": "int64" if hashed else "string", "internal_type": "int64" if hashed else "string"},
            [i for i, _, _ in sparse] + [v for _, v, _ in sparse] + [shape for _, _, shape in sparse] + dense)


def crosses():
    first = (np.array([[0, 0], [0, 1], [2, 0]], np.int64), s(b"a", b"b", b"c"), np.array([3, 2], np.int64))
    second = (np.array([[0, 0], [1, 0], [2, 0], [2, 1]], np.int64), np.array([5, -6, 7, 8], np.int64), np.array([3, 2], np.int64))
    words = s(b"x", b"y", b"z", b"p", b"q", b"r").reshape(3, 2)
    numbers = np.arange(3, dtype=np.int64).reshape(3, 1) * 1000003
    for hashed in (False, True):
        for sparse, dense in (([first], []), ([first, second], []), ([], [words, numbers]), ([first, second], [words]), ([second], [numbers, words])):
            for buckets in (0, 100) if hashed else (0,):
                yield cross(sparse, dense, hashed, buckets)
    empty = (np.zeros((0, 2), np.int64), s().astype(object), np.array([0, 0], np.int64))
    yield cross([empty], [], False)
    yield cross([first], [words[:2]], False)


def cases():
    yield from crosses()
    yield ("BoostedTreesBucketize", {"num_features": 2}, [np.array([0.5, 2, 9, -1], np.float32), np.array([1.0], np.float32),
                                                          np.array([0, 2, 4], np.float32), np.array([1, 3], np.float32)])
