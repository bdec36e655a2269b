"""Engines that touch: tensors which several engines and native ops share, one tensor under several output names."""
import numpy as np

from ..cases import batched, both, case
from .convolutions import _to_nhwc


def _parts(seed, mean, deviation):
    """A 3x2 filter of four outputs and a function that draws biases for them."""
    rng = np.random.default_rng(seed)
    return rng.normal(mean, deviation, (3, 2, 3, 4)), lambda m: rng.normal(m, 1.0, (1, 4, 1, 1))


def _conv(tf, x, weights, plain):
    """The convolution in NCHW; plain: by ops that TensorFlow's CPU kernels have."""
    weights = tf.constant(weights, tf.float32)
    if not plain:
        return tf.nn.conv2d(x, weights, strides=1, padding="VALID", data_format="NCHW", name="conv")
    return tf.transpose(tf.nn.conv2d(_to_nhwc(tf, x), weights, strides=1, padding="VALID"), [0, 3, 1, 2])


def neighbours(plain):
    def build(tf, x):
        weights, bias = _parts(40, 0.3, 0.05)
        conv = _conv(tf, x, weights, plain)
        y = tf.multiply(conv, tf.constant(bias(1.0), tf.float32), name="scaled")
        return tf.squeeze(tf.subtract(y, tf.math.erfc(conv, name="border"), name="difference"))
    return build


def many_connections(plain):
    def build(tf, x):
        weights, bias = _parts(41, 0.05, 0.005)
        conv = _conv(tf, x, weights, plain)
        constant = lambda mean: tf.constant(bias(mean), tf.float32)
        a = tf.add(conv, constant(2.0), name="a")
        b = tf.subtract(conv, constant(5.0), name="b")
        c = tf.add(constant(5.0), conv, name="c")
        border_b, border_c = tf.math.erfc(b, name="border_b"), tf.math.erfc(c, name="border_c")
        border_conv = tf.math.erfc(conv, name="border_conv")
        a = tf.subtract(a, border_conv, name="a1")
        b = tf.add(b, border_b, name="b1")
        a = tf.add(tf.add(a, b, name="a2"), c, name="a3")
        return tf.squeeze(tf.subtract(a, border_c, name="a4"))
    return build


_TWO = [["scaled", "difference"], ["conv"]]
_MANY = [["conv", "b", "c"], ["a1", "b1", "a2", "a3", "a4"]]


def one_tensor_three_outputs(tf, x):
    y = tf.add(tf.exp(x, name="exp"), x, name="sum")
    return [tf.identity(y), tf.identity(y), tf.identity(tf.identity(y))]


_SMALL = batched(2, 3, 7, 5)

CASES = [
    case("neighbours", neighbours(False), _SMALL, reference=neighbours(True), **both(_TWO), borders=True),
    case("many_connections", many_connections(False), _SMALL, reference=many_connections(True), **both(_MANY),
         borders=True),
    case("one_tensor_three_outputs", one_tensor_three_outputs, batched(100, 32), **both([["exp", "sum"]])),
]
