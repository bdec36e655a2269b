"""A function that asks for its own conversion by attributes and must not be inlined."""
import os

from ..cases import batched, case
from .basics import filter_of

ATTRIBUTES = {
    "_tftrt_convert_function": True,
    "_tftrt_trt_logger_name": b"DefaultLogger",
    "_tftrt_max_batch_size": 10,
    "_tftrt_max_workspace_size_bytes": 1 << 25,
    "_tftrt_precision_mode": b"FP32",
    "_tftrt_minimum_segment_size": 2,
    "_tftrt_is_dyn_op": True,
    "_tftrt_max_cached_engines": 1,
    "_tftrt_use_calibration": False,
    "_tftrt_use_implicit_batch": True,
    "_tftrt_profile_strategy": b"Range",
    "_tftrt_allow_build_at_runtime": True,
    "_noinline": True,
}


def calls_a_function(tf, image):
    @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 2), tf.float32)])
    def convolution_and_pool(x):
        y = tf.nn.conv2d(x, filter_of(tf, [[1.0, 0.5, 4.0], [1.0, 0.5, 1.0]]), strides=2, padding="SAME", name="conv")
        y = tf.nn.relu(tf.nn.bias_add(y, tf.constant([4.0, 1.5, 2.0]), name="bias_add"), name="relu")
        return tf.squeeze(tf.nn.max_pool2d(tf.identity(y), 2, 2, "VALID", name="pool"))
    return tf.identity(convolution_and_pool(image))


def set_attributes(implicit):
    """Writes the attributes into the function of the model."""
    def edit(tf, folder):
        from tensorflow.core.protobuf import saved_model_pb2
        path = os.path.join(folder, "saved_model.pb")
        model = saved_model_pb2.SavedModel()
        with open(path, "rb") as file:
            model.ParseFromString(file.read())
        library = model.meta_graphs[0].graph_def.library.function
        functions = [f for f in library if "convolution_and_pool" in f.signature.name]
        assert functions
        for function in functions:
            for name, value in {**ATTRIBUTES, "_tftrt_use_implicit_batch": implicit}.items():
                kind = {bool: "b", bytes: "s", int: "i"}[type(value)]
                setattr(function.attr[name], kind, value)
        with open(path, "wb") as file:
            file.write(model.SerializeToString(deterministic=True))
    return edit


_IMAGE = batched(10, 32, 32, 2)
_ENGINE = [["conv", "bias_add", "relu", "pool"]]

CASES = [
    case("implicit", calls_a_function, _IMAGE, implicit=_ENGINE, edit=set_attributes(True), only="implicit"),
    case("dynamic", calls_a_function, _IMAGE, dynamic=_ENGINE, edit=set_attributes(False), only="dynamic"),
]
