"""Shapes as values: engines that return them, that take them, that drop the input itself; sizes that depend on data."""
from ..cases import Case, Input


def shape_as_output(reshape):
    def build(tf, x):
        y = tf.add(tf.multiply(2.0, x, name="scale"), 1.0, name="shift")
        y = tf.shape(y, name="shape")
        if reshape:
            y = tf.reshape(y, [2, 2], name="square")
        y = tf.math.erfc(tf.cast(y, tf.float32, name="cast"), name="border")
        return tf.identity(tf.add(tf.multiply(y, 2.0, name="double"), tf.multiply(y, y, name="power"), name="sum"))
    return build


_IMAGE = Input((None, 2, 5, 3))
_FIRST = ["shape"]  # the nodes before it are not needed for it and may go
_SECOND = ["double", "power", "sum"]


def pruned(tf, x, sizes):
    """The values of x do not matter, only its shape; those of `sizes` do."""
    extent = tf.shape(tf.multiply(x, 2.0, name="scale"), name="shape")
    y = tf.multiply(tf.add(sizes, 1.0, name="add"), 3.0, name="times")
    return [tf.identity(extent), tf.identity(y)]


def data_of_few_values(tf, x, values):
    """`values` has so few elements that it could be a shape, but its type or use says that it is not."""
    scale = tf.cast(values, tf.float32, name="cast") if values.dtype != tf.float32 else values
    y = tf.multiply(tf.add(x, 1.0, name="add"), tf.reduce_sum(scale, name="total"), name="times")
    return tf.identity(tf.abs(y, name="abs"))


def integer_data(tf, x):
    return tf.identity(tf.add(tf.multiply(x, 3, name="times"), x, name="add"))


def loaded_shapes(tf, x):
    y = tf.nn.relu(tf.squeeze(x, axis=[2], name="squeeze"), name="relu")
    y = tf.add(y, y, name="double")
    return [tf.identity(y), tf.identity(tf.reduce_sum(y, name="total"))]


def unique_values(tf, x):
    x = tf.floor(tf.multiply(x, 10.0, name="scaled"), name="floor")
    y = tf.unique(x, name="unique").y
    y = tf.add(tf.multiply(y, 2.0, name="double"), y, name="triple")
    missing = tf.subtract(tf.shape(x, name="all"), tf.shape(y, name="some"), name="missing")
    paddings = tf.expand_dims(tf.concat([tf.constant([0]), missing], 0, name="pair"), 0, name="paddings")
    return tf.identity(tf.pad(y, paddings, name="padded"))


def values_as_sizes(tf, x, sizes):
    """`sizes` is a shape: a call with other values needs another profile."""
    return tf.identity(tf.reshape(tf.add(x, 1.0, name="add"), sizes, name="reshape"))


def all_pruned(tf, x):
    """Nothing of x is needed but its shape."""
    extent = tf.shape(tf.multiply(x, 2.0, name="scale"), name="shape")
    return tf.identity(tf.multiply(extent, extent, name="square"))


_PAIRS = Input((None, 3))
_TWICE = [[(2, 2, 5, 3)], [(8, 2, 5, 3)]]
_ONCE = _TWICE[:1]

CASES = [
    Case("shape_as_output", shape_as_output(False), [_IMAGE], _TWICE, dynamic=[_FIRST, _SECOND], borders=True),
    Case("shape_as_output_once", shape_as_output(False), [_IMAGE], _ONCE, dynamic=[_FIRST, _SECOND], borders=True),
    Case("shape_made_square", shape_as_output(True), [_IMAGE], _ONCE, implicit=[_SECOND],
         dynamic=[[*_FIRST, "square"], _SECOND], borders=True),
    Case("pruned_input", pruned, [_IMAGE, Input((None, 4))], [[(2, 2, 5, 3), (2, 4)], [(8, 2, 5, 3), (8, 4)]],
         dynamic=[["shape"], ["add", "times"]]),
    Case("all_inputs_pruned", all_pruned, [_IMAGE], _TWICE, dynamic=[["shape", "square"]]),
    Case("values_as_sizes", values_as_sizes, [_PAIRS, Input((2,), "int32")], [[(2, 3), (2,)], [(4, 3), (2,)]],
         values={1: [(3, 2), (6, 2)]}, dynamic=[["add", "reshape"]]),
    Case("float_vector_is_no_shape", data_of_few_values, [_PAIRS, Input((None,))], [[(2, 3), (4,)], [(5, 3), (4,)]],
         dynamic=[["add", "times", "abs"]]),
    Case("float_scalar_is_no_shape", data_of_few_values, [_PAIRS, Input(())], [[(2, 3), ()], [(5, 3), ()]],
         dynamic=[["add", "times", "abs"]]),
    Case("integer_vectors_are_data", integer_data, [Input((None,), "int32")], [[(4,)], [(5,)], [(10,)]],
         dynamic=[["times", "add"]]),
    Case("loaded_shapes", loaded_shapes, [Input((None, 2, 1, 4))], [[(1, 2, 1, 4)]],
         implicit=[["squeeze", "relu", "double"]], dynamic=[["squeeze", "relu", "double", "total"]]),
    Case("unique_values", unique_values, [Input((None,))], [[(12,)]],
         dynamic=[["scaled", "floor"], ["double", "triple"]], native=True),
]
