"""Ops of quantization-aware training in a conversion that stays FP32: they stay native and part the engines."""
import numpy as np

from ..cases import batched, both, case


def chain(quantized):
    """Bounds whose grids have no value in the middle between two of the next one: rounding would decide there."""
    def build(tf, x):
        def limit(y, bound):
            return tf.quantization.fake_quant_with_min_max_vars(y, -bound, bound) if quantized else y
        x = limit(tf.add(limit(x, 10.0), 5.0, name="plus"), 15.3)
        x = limit(tf.subtract(x, 5.0, name="minus"), 10.7)
        x = limit(tf.multiply(x, 0.1, name="scale"), 1.1)
        x = tf.matmul(x, tf.constant(np.ones((8, 1)), tf.float32), name="product")
        return tf.identity(limit(x, 9.3))
    return build


_SQUARE = batched(8, 8)

CASES = [
    case("without_ranges", chain(False), _SQUARE, **both([["plus", "minus", "scale", "product"]])),
    case("with_ranges", chain(True), _SQUARE, **both([["scale"], ["product"]])),
]
