"""Bilinear resizing to sizes that are constant or computed."""
from ..cases import Case, Input, both


def resize(align_corners, half_pixel_centers, target=None):
    def build(tf, x):
        twice = lambda: tf.multiply(tf.shape(x, name="shape")[1:3], tf.constant([2]), name="twice")
        sizes = tf.constant(target) if target else twice()
        y = tf.raw_ops.ResizeBilinear(images=x, size=sizes, align_corners=align_corners,
                                      half_pixel_centers=half_pixel_centers, name="resize")
        return tf.identity(y)
    return build


def computed(name, *flags):
    return Case(name, resize(*flags), [Input((None, None, None, 1))], [[(1, 32, 32, 1)]], implicit=[], dynamic=[["resize"]])


def constant(name, size, target, *flags):
    return Case(name, resize(*flags, target=(target, target)), [Input((1, size, size, 1))], [[(1, size, size, 1)]],
                **both([["resize"]]))


CASES = [
    computed("computed_size", False, False),
    computed("computed_size_aligned", True, False),
    computed("computed_size_half_pixels", False, True),
    constant("constant_size", 32, 64, False, False),
    constant("constant_size_aligned", 32, 64, True, False),
    constant("constant_size_fraction", 31, 33, False, False),
]
