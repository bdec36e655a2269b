"""Matrix products: of batches, with weights of fewer sizes, with biases of every rank that BiasAdd takes, of integers."""
import numpy as np

from ..cases import Case, Input, batched, both, case


def weights(tf, seed, *shape, dtype="float32"):
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), dtype)


def two_tensors(tf, a, b):
    return tf.nn.relu(tf.matmul(a, b, name="product"), name="relu")


def with_weights(*shape):
    def build(tf, x):
        return tf.identity(tf.matmul(x, weights(tf, 2, *shape), name="product"))
    return build


def static(name, build, *shapes):
    """Sizes all known, as the originals have it here."""
    groups = [["product", "relu"] if len(shapes) == 2 else ["product"]]
    return Case(name, build, [Input(s) for s in shapes], [shapes], **both(groups))


BIASED = [  # shape in between, layout: the bias lies on its last size or on its second
    ((4, 24, 6), "NHWC"), ((4, 12, 4, 3), "NHWC"), ((4, 4, 3, 2, 6), "NHWC"),
    ((4, 12, 3, 2, 2), "NCHW"), ((4, 3, 4, 12), "NCHW"), ((4, 6, 24), "NCHW"),
]


def transposed(tf, x, seed, shape, name, **options):
    """A product over the batch between two ops that stay native."""
    y = tf.math.erfc(x, name=name + "_before")
    y = tf.matmul(y, weights(tf, seed, *shape), transpose_a=True, name=name, **options)
    y = tf.reshape(y, [4, -1], name=name + "_flat")
    return tf.math.erfc(y, name=name + "_after")


def eleven_branches(tf, x):
    parts = [tf.add(tf.matmul(x, weights(tf, 1, 144, 4), name="first"), weights(tf, 2, 1, 4), name="first_bias"),
             transposed(tf, x, 3, (4, 144), "over_batch"),
             tf.matmul(x, weights(tf, 4, 4, 144), transpose_b=True, name="second"),
             transposed(tf, x, 5, (16, 4), "over_batch_too", transpose_b=True),
             tf.nn.bias_add(tf.matmul(x, weights(tf, 6, 144, 48), name="third"), weights(tf, 7, 48), name="third_bias")]
    for number, (shape, layout) in enumerate(BIASED):
        channels = shape[-1] if layout == "NHWC" else shape[1]
        y = tf.reshape(x, shape, name=f"shaped{number}")
        y = tf.nn.bias_add(y, weights(tf, 10 + number, channels), data_format=layout, name=f"bias{number}")
        parts.append(tf.reshape(y, [4, -1], name=f"flat{number}"))
    return tf.squeeze(tf.concat(parts, axis=-1, name="all"))


_BRANCHES = ["first", "first_bias", "second", "third", "third_bias", "all"]
_RESHAPED = [f"{name}{number}" for number in range(len(BIASED)) for name in ("shaped", "bias", "flat")]
_OVER_BATCH = [["over_batch", "over_batch_flat"], ["over_batch_too", "over_batch_too_flat"]]


def integers(tf, x):
    y = tf.matmul(x, weights(tf, 8, 4, 10, dtype="int32"), name="product")
    return tf.identity(tf.nn.bias_add(y, weights(tf, 9, 10, dtype="int32"), name="bias"))


CASES = [
    static("two_tensors", two_tensors, (12, 5, 8, 12), (12, 5, 12, 7)),
    static("weights_of_equal_rank", with_weights(1, 5, 7), (12, 9, 5)),
    static("weights_of_lower_rank", with_weights(5, 7), (12, 9, 5)),
    case("eleven_branches", eleven_branches, batched(4, 144), implicit=[_BRANCHES],
         dynamic=[_BRANCHES + _RESHAPED, *_OVER_BATCH], borders=True),
    case("integers", integers, batched(100, 4, dtype="int32"), **both([])),
]
