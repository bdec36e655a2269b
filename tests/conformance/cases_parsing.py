"""tf.Example parsing."""
import numpy as np


def varint(value):
    out = b""
    value &= (1 << 64) - 1
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def feature(values, packed=True):
    values = list(values)
    if not values:
        return b""
    if isinstance(values[0], bytes):
        return field(1, b"".join(field(1, v) for v in values))
    if isinstance(values[0], float):
        raw = [np.float32(v).tobytes() for v in values]
        return field(2, field(1, b"".join(raw)) if packed else b"".join(varint(1 << 3 | 5) + r for r in raw))
    return field(3, field(1, b"".join(varint(v) for v in values)) if packed else b"".join(varint(1 << 3) + varint(v) for v in values))


def example(entries, packed=True):
    return field(1, b"".join(field(1, field(1, key.encode()) + field(2, feature(values, packed))) for key, values in entries))


def strings(*values):
    return np.array(values, object) if values else np.zeros((0,), object)


EXAMPLES = [
    example([("a", [1.5, 2.5]), ("b", [7, -8, 9]), ("s", [b"x", b"yy"])]),
    example([("a", [3.0, 4.0]), ("b", [1]), ("s", []), ("extra", [5])], packed=False),
    example([("s", [b"only"]), ("b", []), ("a", [0.5, 0.25])]),
]


def v2(serialized, sparse, dense, ragged, defaults, shapes, splits=None):
    return ("ParseExampleV2", {
        "num_sparse": len(sparse), "sparse_types": [t for _, t in sparse], "Tdense": [t for _, t in dense],
        "dense_shapes": shapes, "ragged_value_types": [t for _, t in ragged],
        "ragged_split_types": splits or ["int64"] * len(ragged)
    }, [serialized, strings(), strings(*[k.encode() for k, _ in sparse]), strings(*[k.encode() for k, _ in dense]),
        strings(*[k.encode() for k, _ in ragged])] + defaults)


def v1(serialized, sparse, dense, defaults, shapes):
    return ("ParseExample", {
        "Nsparse": len(sparse), "Ndense": len(dense), "sparse_types": [t for _, t in sparse], "Tdense": [t for _, t in dense],
        "dense_shapes": shapes
    }, [serialized, strings()] + [np.array(k.encode(), object) for k, _ in sparse + dense] + defaults)


def single(serialized, sparse, dense, defaults, shapes):
    return ("ParseSingleExample", {
        "num_sparse": len(sparse), "sparse_keys": [k for k, _ in sparse], "dense_keys": [k for k, _ in dense],
        "sparse_types": [t for _, t in sparse], "Tdense": [t for _, t in dense], "dense_shapes": shapes
    }, [serialized] + defaults)


def cases():
    batch = strings(*EXAMPLES)
    none_f = np.zeros((0,), np.float32)
    sparse = [("b", "int64"), ("s", "string")]
    for pair in [[("a", "float32")], []]:
        defaults = [none_f] * len(pair)
        yield v1(batch, sparse, pair, defaults, [[2]] * len(pair))
        yield v2(batch, sparse, pair, [], defaults, [[2]] * len(pair))
        yield v2(strings(), sparse, pair, [("b", "int64")], defaults, [[2]] * len(pair))
        yield v2(np.array(EXAMPLES[0], object), sparse, pair, [], defaults, [[2]] * len(pair))
        yield single(np.array(EXAMPLES[0], object), sparse, pair, defaults, [[2]] * len(pair))
        yield single(np.array(EXAMPLES[1], object), sparse, pair, defaults, [[2]] * len(pair))
    yield v2(batch, [], [], [("b", "int64"), ("s", "string"), ("a", "float32"), ("missing", "float32")], [], [], ["int32", "int64", "int32", "int64"])
    yield v2(batch, [], [("a", "float32")], [], [none_f], [[2, 1]])
    yield v2(batch, [], [("a", "float32")], [], [none_f], [[3]])  # wrong count
    yield v2(batch, [], [("a", "int64")], [], [np.zeros((0,), np.int64)], [[2]])  # wrong kind
    yield v2(batch, [], [("missing", "float32")], [], [none_f], [[2]])  # required
    yield v2(batch, [], [("missing", "float32")], [], [np.array([1, 2], np.float32)], [[2]])
    yield v2(batch, [], [("missing", "string")], [], [np.array([b"q"], object)], [[1]])
    yield v2(batch, [], [("b", "int64")], [], [np.array(-5, np.int64)], [[None]])
    yield v2(batch, [], [("s", "string")], [], [np.array(b"pad", object)], [[None]])
    yield v2(batch, [], [("a", "float32")], [], [np.array(0, np.float32)], [[None, 2]])
    yield v2(batch, [], [("b", "int64")], [], [np.array(0, np.int64)], [[None, 2]])  # not a multiple
    yield v1(batch, [], [("b", "int64")], [np.array(-5, np.int64)], [[None]])
    yield v2(np.array(EXAMPLES[0], object), [], [("b", "int64")], [], [np.array(-5, np.int64)], [[None]])
    yield v2(strings(b"\x0a\xff\xff"), sparse, [], [], [], [])  # malformed
    yield v2(strings(b"", b""), sparse, [], [("b", "int64")], [], [])
    yield v2(batch, [("a", "float32")], [("a", "float32")], [], [none_f], [[2]])
    doubled = field(1, field(1, field(1, b"a") + field(2, feature([1.0, 2.0]))) + field(1, field(1, b"a") + field(2, feature([5.0, 6.0]))))
    yield v2(strings(doubled), [], [("a", "float32")], [], [none_f], [[2]])
