"""Graphs whose variables stay variables (disable_graph_freezing): shared by engines, or all that an engine would take."""
import numpy as np

from ..cases import Case, Input

NOT_FROZEN = {"TF_TRT_EXPERIMENTAL_FEATURES": "disable_graph_freezing"}


def ramp(*shape):
    """Values from -1 to 1."""
    return np.linspace(-1, 1, int(np.prod(shape))).astype(np.float32).reshape(shape)


class WithVariable:
    """Makes a module's variable once and hands it to the builder."""

    def __init__(self, shape, build):
        self.shape, self.build = shape, build

    def __call__(self, tf, module):
        module.v = tf.Variable(ramp(*self.shape), name="v")
        return lambda tf, *inputs: self.build(tf, module.v, *inputs)


def two_engines(tf, v, x):
    for number in range(2):
        x = tf.nn.conv3d(x, v, strides=[1] * 5, padding="SAME", name=f"conv{number}")
        bias = tf.constant([0.1, 0.2, 0.3]) * (number + 1)
        x = tf.nn.relu(tf.nn.bias_add(x, bias, name=f"bias{number}"), name=f"relu{number}")
        x = tf.math.erfc(x, name="border") if number == 0 else x
    return tf.squeeze(x)


def biased_variable(tf, v, x):
    y = tf.nn.bias_add(v, tf.constant([1.0, 2.0, 3.0]), name="bias")
    return tf.squeeze(tf.nn.relu(tf.add(y, x, name="add"), name="relu"))


def variable_times_constant(tf, v, x):
    y = tf.matmul(v, tf.constant(ramp(4, 5, 3)), name="product")
    return tf.squeeze(tf.nn.relu(tf.add(y, x, name="add"), name="relu"))


def without_inputs(tf, v, x):
    y = tf.multiply(tf.add(v, tf.constant(ramp(4, 4, 3)), name="add1"), tf.constant(ramp(4, 4, 3)), name="times")
    y = tf.math.erfc(tf.nn.relu(y, name="relu"), name="border")
    return tf.squeeze(tf.add(y, x, name="add2"))


def variable_case(name, shape, build, size, engines, **more):
    return Case(name, None, [Input(size)], [[size]], dynamic=engines, module=WithVariable(shape, build),
                environment=NOT_FROZEN, only="dynamic", **more)


CASES = [
    variable_case("two_engines_one_variable", (3, 3, 3, 3, 3), two_engines, (2, 12, 12, 12, 3),
                  [["conv1", "bias1", "relu1"], ["conv0", "bias0", "relu0"]], borders=True),
    variable_case("bias_on_a_variable", (4, 4, 3), biased_variable, (8, 4, 4, 3), [["bias", "add", "relu"]]),
    variable_case("variable_times_constant", (4, 4, 5), variable_times_constant, (8, 4, 4, 3), [["product", "add", "relu"]]),
    variable_case("engine_without_inputs", (4, 4, 3), without_inputs, (8, 4, 4, 3), [["add2"]], borders=True),
]
