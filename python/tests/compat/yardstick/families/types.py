"""Bool, half and int32 inside graphs."""
import numpy as np

from ..cases import batched, both, case


def logic(tf, a, b):
    x = tf.logical_or(tf.logical_and(a, b, name="and"), b, name="or")
    return tf.logical_not(tf.not_equal(x, b, name="differs"), name="not")


def half_and_back(tf, x):
    rng = np.random.default_rng(5)
    y = tf.cast(x, tf.float16, name="to_half")
    y = tf.multiply(y, tf.constant(rng.standard_normal((1, 10)), tf.float16), name="half_product")
    y = tf.cast(y, tf.float32, name="to_single")
    return tf.identity(tf.add(y, tf.constant(rng.standard_normal((1, 10)), tf.float32), name="single_sum"))


def integer_transpose(tf, x):
    return tf.identity(tf.transpose(x, [0, 3, 2, 1], name="turned"))


_FLAGS = batched(2, 32, 32, 3, dtype="bool")
_CASTS = [["to_half", "half_product", "to_single", "single_sum"]]

CASES = [
    case("logic", logic, _FLAGS, _FLAGS, dynamic=[["and", "or"]]),
    case("half_and_back", half_and_back, batched(1, 10), **both(_CASTS), atol=1e-3, rtol=1e-3),
    case("integer_transpose", integer_transpose, batched(3, 4, 5, 6, dtype="int32"), **both([["turned"]])),
]
