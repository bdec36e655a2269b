"""The smallest graphs: one engine, engines around an op that stays native, constants and control edges at their borders."""
import numpy as np

from ..cases import batched, both, case


def filter_of(tf, depth_rows, name="weights"):
    """A 1x1 filter from one row of values per input channel."""
    return tf.constant([[depth_rows]], tf.float32, name=name)


WEIGHTS = [[1.0, 0.5, 4.0, 6.0, 0.5, 1.0], [1.0, 0.5, 1.0, 1.0, 0.5, 1.0]]


def single_engine(tf, image):
    y = tf.nn.conv2d(image, filter_of(tf, WEIGHTS), strides=2, padding="SAME", name="conv")
    y = tf.nn.bias_add(y, tf.constant([4.0, 1.5, 2.0, 3.0, 5.0, 7.0]), name="bias_add")
    y = tf.identity(tf.nn.relu(y, name="relu"), name="same")
    y = tf.nn.max_pool2d(y, 2, 2, "VALID", name="pool")
    return tf.squeeze(y)


def two_engines(tf, image):
    rng = np.random.default_rng(1)
    plane = lambda: tf.constant(rng.standard_normal((12, 12, 6)), tf.float32)
    conv = tf.nn.conv2d(image, filter_of(tf, WEIGHTS), strides=2, padding="SAME", name="conv")
    left = tf.multiply(conv, plane(), name="scaled")
    right = tf.divide(conv, plane(), name="divided")
    border = tf.math.erfc(right, name="border")
    rest = tf.subtract(1.0, border, name="rest")
    ratio = tf.divide(rest, rest, name="ratio")
    twice = tf.add(ratio, ratio, name="twice")
    left = tf.subtract(left, ratio, name="left")
    right = tf.multiply(right, ratio, name="right")
    return tf.squeeze(tf.subtract(tf.add(left, right, name="both"), twice, name="last"))


def shift_and_square(tf, x, value, number):
    x = tf.add(x, tf.constant(value), name=f"add{number}")
    return tf.multiply(x, x, name=f"square{number}")


def polynomial_pair(tf, x):
    x = shift_and_square(tf, shift_and_square(tf, x, 0.0, 0), 1.0, 1)
    x = tf.math.erfc(x, name="border")
    x = shift_and_square(tf, shift_and_square(tf, x, 2.0, 2), 3.0, 3)
    return tf.squeeze(x)


def block(tf, x, constant, number):
    """(x + c)^2 * 2 in three nodes."""
    x = tf.add(x, constant, name=f"plus{number}")
    x = tf.multiply(x, x, name=f"times{number}")
    return tf.add(x, x, name=f"double{number}")


def names_of_block(number):
    return [f"plus{number}", f"times{number}", f"double{number}"]


def constant_into_native(tf, x):
    one = tf.constant(1.0, name="one")
    x = tf.math.igamma(x, one, name="border")
    x = tf.math.erfc(block(tf, x, one, 0), name="border1")
    return tf.squeeze(block(tf, x, one, 1))


def constant_in_one(tf, x):
    return tf.squeeze(block(tf, x, tf.constant(1.0), 0))


def constant_in_two(tf, x):
    one = tf.constant(1.0)
    x = tf.math.erfc(block(tf, x, one, 0), name="border")
    return tf.squeeze(block(tf, x, one, 1))


def control_edges(tf, x):
    first = tf.math.erfc(x, name="first")
    second = tf.math.igamma(x, x, name="second")
    with tf.control_dependencies([first]):
        y = tf.add(x, tf.constant(1.0), name="plus0")
    y = tf.multiply(y, y, name="times0")
    y = tf.add(y, y, name="double0")
    border = tf.math.erfc(y, name="border")
    with tf.control_dependencies([first, second, y]):
        z = tf.add(border, tf.constant(2.0), name="plus1")
    z = tf.multiply(z, z, name="times1")
    z = tf.add(z, z, name="double1")
    z = tf.math.igamma(first, z, name="third")
    return tf.squeeze(tf.math.igamma(second, z, name="fourth"))


_IMAGE = batched(100, 24, 24, 2)
_BLOCK = batched(2, 32, 32, 3)
_ONE = [["conv", "bias_add", "relu", "pool"]]
_TWO = [["scaled", "rest", "ratio", "twice", "left", "right", "both", "last"], ["conv", "divided"]]
_PAIR = [["add0", "square0", "add1", "square1"], ["add2", "square2", "add3", "square3"]]
_BLOCKS = [names_of_block(0), names_of_block(1)]

CASES = [
    case("single_engine", single_engine, _IMAGE, **both(_ONE)),
    case("two_engines", two_engines, _IMAGE, **both(_TWO), borders=True),
    case("polynomial_pair", polynomial_pair, _BLOCK, **both(_PAIR), borders=True),
    case("constant_into_native", constant_into_native, _BLOCK, **both(_BLOCKS), borders=True),
    case("constant_in_one", constant_in_one, _BLOCK, **both([names_of_block(0)])),
    case("constant_in_two", constant_in_two, _BLOCK, **both(_BLOCKS), borders=True),
    case("control_edges", control_edges, _BLOCK, **both(_BLOCKS), borders=True),
]
