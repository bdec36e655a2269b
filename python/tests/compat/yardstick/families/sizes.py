"""One model, many shapes: caches that grow, caches that evict."""
import numpy as np

from ..cases import Case, Input, both

SIZES = [(1, 5, 5, 1), (10, 5, 5, 1), (3, 5, 5, 1), (1, 5, 5, 1),
         (1, 3, 1, 1), (2, 9, 9, 1), (1, 224, 224, 1), (1, 128, 224, 1)]


def two_convolutions(tf, x):
    rng = np.random.default_rng(7)
    for number, (before, after) in enumerate(((1, 8), (8, 1))):
        x = tf.nn.conv2d(x, tf.ones((3, 3, before, after)), strides=1, padding="SAME", name=f"conv{number}")
        x = tf.nn.bias_add(x, tf.constant(rng.standard_normal(after), tf.float32), name=f"bias{number}")
        x = tf.nn.relu(x, name="relu") if number == 0 else x
    return tf.identity(x)


_CONVOLUTIONS = [["conv0", "bias0", "relu", "conv1", "bias1"]]


def sum_and_relu(tf, x):
    bias = tf.constant(np.random.default_rng(8).standard_normal((1, 10, 10, 1)), tf.float32)
    return tf.identity(tf.nn.relu(tf.add(x, bias, name="add"), name="relu"))


CASES = [
    Case("every_size_changes", two_convolutions, [Input((None, None, None, 1))], [[s] for s in SIZES], **both(_CONVOLUTIONS),
         maximum_cached_engines=10, atol=1e-3, rtol=1e-3),
    Case("cache_of_one", sum_and_relu, [Input((None, 10, 10, 2))], [[(n, 10, 10, 2)] for n in (1, 2, 4, 2)],
         **both([["add", "relu"]])),
]
