"""SavedModels as the real TF-TRT writes them, made by hand: engine nodes, their native segments, files of TensorRT's engines."""
import numpy as np
import tensorflow as tf
from plugin_models import frozen, save_frozen
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import graph_to_function_def

_random = np.random.default_rng(0)
_W1, _W2 = _random.random((6, 8), dtype=np.float32), _random.random((8, 4), dtype=np.float32)
X = _random.random((3, 6), dtype=np.float32)


def _first(x):
    return tf.nn.relu(tf.matmul(x, _W1) + 1.0)


def _second(x):
    return tf.nn.softmax(tf.matmul(x, _W2) * 0.5)


def net(x):
    """What the models compute: two segments with an Identity between them."""
    return _second(tf.identity(_first(x)))


def _segment(name, body, columns):
    """A FunctionDef from TensorRTInputPH_0 to TensorRTOutputPH_0."""
    concrete = frozen(body, tf.TensorSpec((None, columns), tf.float32))
    (source,) = concrete.inputs
    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder(tf.float32, (None, columns), name="TensorRTInputPH_0")
        nodes = [node for node in concrete.graph.as_graph_def().node if node.name != source.op.name]
        for node in nodes:
            node.input[:] = [given.op.name if name == source.op.name else name for name in node.input]
        (result,) = tf.graph_util.import_graph_def(tf.compat.v1.GraphDef(node=nodes), input_map={given.op.name: given},
                                                   return_elements=[concrete.outputs[0].name], name="")
        result = tf.identity(result, name="TensorRTOutputPH_0")
    function = graph_to_function_def.graph_to_function_def(graph, graph.get_operations(), [given], [result], ["TensorRTOutputPH_0"])
    function.signature.name = name
    return function


def _engine_node(graph, name, source, function, shapes, strategy=None, device="/job:localhost/replica:0/task:0/device:GPU:0", **more):
    """All attributes that TF-TRT writes; `more` overrides some."""
    node = graph.node.add(name=name, op="TRTEngineOp", input=[source], device=device)
    values = {"serialized_segment": b"", "calibration_data": b"", "max_cached_engines_count": 1, "workspace_size_bytes": 1 << 30,
              "max_batch_size": 8, "precision_mode": b"FP32", "use_calibration": False, "_use_implicit_batch": strategy is None,
              "use_explicit_precision": False, "_allow_build_at_runtime": True, "static_engine": False, **more}
    if strategy is not None:
        values.update(profile_strategy=strategy, _profile_generation_mode=False)
    for key, value in values.items():
        setattr(node.attr[key], {bytes: "s", int: "i", bool: "b"}[type(value)], value)
    node.attr["segment_func"].func.name = function
    for key, columns in [("input_shapes", shapes[0]), ("output_shapes", shapes[1]), ("_output_shapes", shapes[1])]:
        node.attr[key].list.shape.add().CopyFrom(tf.TensorShape([None, columns]).as_proto())
    for key in ("InT", "OutT"):
        node.attr[key].list.type.append(tf.float32.as_datatype_enum)


def _resource(meta_graph, folder, name):
    """The file of an engine and the ops that hand it to the resource; the name of the initializer."""
    graph, file = meta_graph.graph_def, f"trt-serialized-engine.{name}"
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / file).write_bytes(b"\x20\0\0\0\0\0\0\0\1\2\3\4" + b"ftrt" * 30)
    graph.node.add(name=f"{name}_handle", op="CreateTRTResourceHandle").attr["resource_name"].s = name.encode()
    path = graph.node.add(name=f"{name}_file", op="Const")
    path.attr["dtype"].type = tf.string.as_datatype_enum
    path.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(file))
    graph.node.add(name=f"{name}_load", op="InitializeTRTResource",
                   input=[f"{name}_handle", f"{name}_file"]).attr["max_cached_engines_count"].i = 1
    asset = meta_graph.asset_file_def.add(filename=file)
    asset.tensor_info.name = f"{name}_file:0"
    return f"^{name}_load"


def save_foreign(folder, files=True, **attributes):
    """The SavedModel of net() with two engine nodes. `attributes` of the nodes; `files`: with engines of TensorRT beside the model."""
    save_frozen(folder, net, tf.TensorSpec((None, 6), tf.float32))
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    meta_graph = model.meta_graphs[0]
    graph = meta_graph.graph_def
    (source,) = [node for node in graph.node if node.op == "Placeholder"]
    (result,) = meta_graph.signature_def["serving_default"].outputs.values()
    placeholder = tf.compat.v1.NodeDef()
    placeholder.CopyFrom(source)
    del graph.node[:]
    graph.node.add().CopyFrom(placeholder)
    segments = ["TRTEngineOp_000_000_native_segment", "PartitionedCall_TRTEngineOp_000_001_native_segment"]
    _engine_node(graph, "TRTEngineOp_000_000", placeholder.name, segments[0], (6, 8), **attributes)
    graph.node.add(name="between", op="Identity", input=["TRTEngineOp_000_000"]).attr["T"].type = tf.float32.as_datatype_enum
    _engine_node(graph, "PartitionedCall/TRTEngineOp_000_001", "between", segments[1], (8, 4), **attributes)
    graph.node.add(name=result.name.split(":")[0], op="Identity",
                   input=["PartitionedCall/TRTEngineOp_000_001"]).attr["T"].type = tf.float32.as_datatype_enum
    graph.library.function.append(_segment(segments[0], _first, 6))
    graph.library.function.append(_segment(segments[1], _second, 8))
    if files:
        loads = [_resource(meta_graph, folder, name) for name in ("TRTEngineOp_000_000", "TRTEngineOp_000_001")]
        graph.node.add(name="load", op="NoOp", input=loads)
        meta_graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "load"
    path.write_bytes(model.SerializeToString())
    return folder
