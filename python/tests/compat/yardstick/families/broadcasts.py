"""Element-wise ops between a tensor and constants of every shape that spreads over it."""
import numpy as np

from ..cases import batched, both, case

SHAPES = [(1,), (24, 1, 1), (24, 24, 20), (20,), (1, 24, 1, 1), (1, 24, 24, 1), (1, 24, 24, 20), (24, 20)]


def sixteen_sums(tf, x):
    rng = np.random.default_rng(3)
    constant = lambda shape: tf.constant(rng.standard_normal(shape), tf.float32)
    for number, shape in enumerate(SHAPES):
        x = tf.math.erfc(tf.add(x, constant(shape), name=f"right{number}"), name=f"border_right{number}")
        x = tf.math.erfc(tf.add(constant(shape), x, name=f"left{number}"), name=f"border_left{number}")
    return tf.reshape(x, [5, -1], name="regrouped")


_SUMS = [[f"{side}{number}"] for number in range(len(SHAPES)) for side in ("right", "left")]
_ALL_SUMS = _SUMS + [["regrouped"]]


def twelve_branches(tf, x):
    rng = np.random.default_rng(4)
    constant = lambda *shape: tf.constant(rng.standard_normal(shape), tf.float32)
    first = [tf.divide(x, constant(3, 1, 1), name="branch0"), tf.divide(constant(3, 1, 1), x, name="branch1"),
             tf.add(constant(1, 3, 1), x, name="branch2"), tf.multiply(x, constant(1, 3, 1), name="branch3"),
             tf.subtract(x, constant(3, 1, 1), name="branch4"), tf.subtract(constant(3, 1, 1), x, name="branch5")]
    second = [tf.subtract(x, constant(3, 1), name="branch6"), tf.subtract(constant(3, 1), x, name="branch7"),
              tf.maximum(x, constant(3, 1, 1), name="branch8"), tf.minimum(constant(3, 1), x, name="branch9"),
              tf.multiply(x, constant(3), name="branch10"), tf.multiply(constant(1), x, name="branch11")]
    first, second = tf.concat(first, axis=-1, name="joined0"), tf.concat(second, axis=3, name="joined1")
    return tf.reshape(tf.concat([first, second], axis=-1, name="joined2"), [2, -1])


_BRANCHES = [[f"branch{n}" for n in range(12)] + [f"joined{n}" for n in range(3)]]


def filled_filters(tf, x):
    for number, channels in enumerate((2, 1, 1)):
        filters = tf.constant(0.3, tf.float32, (3, 3, channels, 1))
        x = tf.nn.conv2d(x, filters, strides=1, padding="SAME", name=f"conv{number}")
        x = tf.nn.relu(x, name=f"relu{number}")
    return x


_FILLED = [[f"{op}{n}" for n in range(3) for op in ("conv", "relu")]]

CASES = [
    case("sixteen_sums", sixteen_sums, batched(10, 24, 24, 20), implicit=_SUMS, dynamic=_ALL_SUMS, borders=True),
    case("twelve_branches", twelve_branches, batched(2, 3, 3, 1), **both(_BRANCHES)),
    case("filled_filters", filled_filters, batched(5, 12, 12, 2), **both(_FILLED), atol=1e-4, rtol=1e-4),
]
