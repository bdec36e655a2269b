"""Converted models inside TensorFlow: functions on the plug-in's ops."""
import os

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.eager import wrap_function

from .. import tensorflow as plugin
from . import call_arguments, notices

NAME = "tensorflow"


def executing_eagerly():
    """Whether TensorFlow executes eagerly here."""
    return tf.executing_eagerly()


def requested_device():
    """Where TensorFlow puts a tensor here, so that a surrounding tf.device is seen."""
    return tf.zeros([]).device or "/device:CPU:0"


def threads():
    """The size of the team that runs engines unless an option says it: that of TensorFlow's own pool; 0: the CPUs of this process."""
    return tf.config.threading.get_intra_op_parallelism_threads()


def arguments(item):
    """(args, kwargs) of what an input function yields, as tensors; RuntimeError for what is none."""
    return call_arguments.split(item, tf.convert_to_tensor)


class ConvertedFunction(wrap_function.WrappedFunction):
    """A ConcreteFunction that is called with one tensor, or anything that becomes one, per input: by position, in the order of
    `inputs`, or by name. It holds on to what its graph needs."""

    def __init__(self, pruned, names, kept):
        self._tenon_names, self._tenon_kept = names, kept
        super().__init__(pruned.graph, variable_holder=pruned._variable_holder, are_keyword_args_also_positional=True)
        self._arg_keywords, self._num_positional_args = list(names), len(names)
        # As the loaded original's signature has it.
        self.graph.structured_outputs = {name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
                                         for name, tensor in self.graph.structured_outputs.items()}

    def _call_impl(self, args, kwargs):
        values = call_arguments.bind(self._tenon_names, args, kwargs)
        tensors = [tf.convert_to_tensor(value, dtype=None if _has_dtype(value) else placeholder.dtype)
                   for value, placeholder in zip(values, self.graph.inputs)]
        return self._call_flat(tensors, self.captured_inputs)


def _has_dtype(value):
    return hasattr(value, "dtype")


def _dense(tensors):
    return all(isinstance(tensor, tf.Tensor) for tensor in tensors)


def load(folder, tags, key, threads, kept):
    """The function of a written model; it keeps `folder` and `kept` alive. `threads` is the plug-in's affair."""
    del threads
    plugin.load()
    model = tf.saved_model.load(folder.path, tags=list(tags))
    if key not in model.signatures:
        raise ValueError(f"the model has no signature \"{key}\"; it has {', '.join(model.signatures)}")
    signature = model.signatures[key]
    _, specs = signature.structured_input_signature
    placeholders = dict(zip(signature._arg_keywords, signature.inputs))
    outputs = signature.structured_outputs
    if set(placeholders) != set(specs) or not isinstance(outputs, dict) or not _dense([*placeholders.values(), *outputs.values()]):
        raise ValueError(f"signature \"{key}\" has sparse or composite tensors; only dense ones can be converted")
    names = sorted(specs)
    pruned = model.prune([placeholders[name].name for name in names], {name: tensor.name for name, tensor in outputs.items()},
                         input_signature=((), {name: tf.TensorSpec(specs[name].shape, specs[name].dtype, name) for name in names}))
    for name, tensor in outputs.items():
        pruned.graph.structured_outputs[name].set_shape(tensor.shape)
    assets = os.path.join(folder.path, "assets")
    if not os.path.isdir(assets) or not os.listdir(assets):
        folder.delete()  # nothing is read later than when it is loaded
    return ConvertedFunction(pruned, names, (model, folder, kept))


def _tag(folder, tags):
    path = os.path.join(folder, "saved_model.pb")
    model = saved_model_pb2.SavedModel()
    with open(path, "rb") as file:
        model.ParseFromString(file.read())
    found = model.meta_graphs[0].meta_info_def.tags
    found.extend(tag for tag in tags if tag not in found)
    with open(path, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


def _write_debug_info(folder, function):
    from tensorflow.python.framework import error_interpolation
    info = error_interpolation.create_graph_debug_info_def([(function.name, op) for op in function.graph.get_operations()])
    os.makedirs(os.path.join(folder, "debug"), exist_ok=True)
    with open(os.path.join(folder, "debug", "saved_model_debug_info.pb"), "wb") as file:
        file.write(info.SerializeToString(deterministic=True))


def _check_namespaces(allowed, nodes):
    spaces = {node["op"].split(">")[0] for node in nodes if ">" in node["op"]}
    refused = sorted(spaces - {space.decode() if isinstance(space, bytes) else space for space in allowed})
    if refused:
        raise ValueError(f"the model uses ops of the namespaces {', '.join(refused)}; SaveOptions.namespace_whitelist must name them")


# Options that change nothing in a converted model, with the values that ask for nothing.
_WITHOUT_EFFECT = {"function_aliases": ({}, None), "experimental_debug_stripper": (False, None), "experimental_io_device": (None,),
                   "experimental_image_format": (False, None), "experimental_skip_saver": (False, None),
                   "experimental_sharding_callback": (None,)}


def finish(folder, options, function, nodes):
    """Does to a written model what tf.saved_model.SaveOptions ask for."""
    if options is None:
        return
    _check_namespaces(options.namespace_whitelist or [], nodes)
    for name, idle in _WITHOUT_EFFECT.items():
        if getattr(options, name, idle[0]) not in idle:
            notices.warn(f"SaveOptions.{name} has no effect on a converted model")
    policy = getattr(options, "experimental_variable_policy", None)
    if policy is not None and getattr(policy, "value", None) is not None:
        notices.warn("SaveOptions.experimental_variable_policy has no effect on a converted model")
    if getattr(options, "extra_tags", None):
        _tag(folder, options.extra_tags)
    if options.save_debug_info:
        _write_debug_info(folder, function)


def graph_def(content):
    """A GraphDef as its users here hold it: TensorFlow's message."""
    plugin.load()
    return graph_pb2.GraphDef.FromString(content)


def graph_def_bytes(graph):
    """The bytes of a GraphDef."""
    return bytes(graph) if isinstance(graph, (bytes, bytearray, memoryview)) else graph.SerializeToString()


def freeze(folder, tags, key):
    """A SavedModel's GraphDef with constants for variables, as bytes, and the names of its outputs."""
    plugin.load()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, tags, os.fspath(folder)).signature_def[key]
        outputs = sorted(info.name for info in signature.outputs.values())
        frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), sorted({name.split(":")[0] for name in outputs}))
    for node in [*frozen.node, *(node for function in frozen.library.function for node in function.node_def)]:
        node.attr.pop("_output_shapes", None)  # of handles, where constants are now
    return frozen.SerializeToString(), outputs


def calibrate_graph(content, fetches, runs, feed_dict_fn, input_map_fn):
    """Runs a GraphDef `runs` times in a session."""
    inputs = input_map_fn() if input_map_fn else None
    for name, value in (inputs or {}).items():
        if not isinstance(name, str):
            raise ValueError("Keys of input_map_fn must be of type str")
        if not isinstance(value, tf.Tensor):
            raise ValueError("Values of input_map_fn must be of type tf.Tensor")
    with tf.Graph().as_default():
        fetched = tf.graph_util.import_graph_def(graph_def(content), input_map=input_map_fn() if input_map_fn else None,
                                                 return_elements=list(fetches), name="")
        with tf.compat.v1.Session() as session:
            for _ in range(runs):
                session.run(fetched, feed_dict=feed_dict_fn() if feed_dict_fn else None)
