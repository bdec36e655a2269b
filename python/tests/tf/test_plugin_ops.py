"""The ops by themselves: their contracts, which are TF-TRT's, and the resource ops."""
import gc
import os

import numpy as np
import pytest
import tensorflow as tf
from plugin_models import only_engines
from tensorflow.python.framework import op_def_registry

import tenon.tensorflow as plugin


def attributes(op):
    return {attr.name: attr for attr in op_def_registry.get(op).attr}


def test_the_engine_op_has_tf_trts_attributes_and_defaults():
    found = attributes("TRTEngineOp")
    defaults = {name: getattr(attr.default_value, attr.default_value.WhichOneof("value")) for name, attr in found.items()
                if attr.HasField("default_value") and attr.default_value.WhichOneof("value") not in ("list", "func")}
    assert defaults == {"max_cached_engines_count": 1, "max_batch_size": 1, "calibration_data": b"", "use_calibration": True,
                        "static_engine": True, "profile_strategy": b"", "use_explicit_precision": False, "segment_funcdef_name": b"",
                        "fixed_input_size": True}
    assert set(found) == set(defaults) | {"serialized_segment", "segment_func", "InT", "OutT", "input_shapes", "output_shapes",
                                          "workspace_size_bytes", "precision_mode", "cached_engine_batches"}
    assert {name for name, attr in found.items() if not attr.HasField("default_value")} == {
        "serialized_segment", "InT", "OutT", "workspace_size_bytes", "precision_mode"}
    for name in ("input_shapes", "output_shapes", "cached_engine_batches"):
        assert found[name].default_value.list.ByteSize() == 0
    assert {name: attr.type for name, attr in found.items()} == {
        "serialized_segment": "string", "segment_func": "func", "InT": "list(type)", "OutT": "list(type)", "input_shapes": "list(shape)",
        "output_shapes": "list(shape)", "max_cached_engines_count": "int", "max_batch_size": "int", "workspace_size_bytes": "int",
        "precision_mode": "string", "calibration_data": "string", "use_calibration": "bool", "static_engine": "bool",
        "profile_strategy": "string", "use_explicit_precision": "bool", "segment_funcdef_name": "string",
        "cached_engine_batches": "list(int)", "fixed_input_size": "bool"}
    assert found["InT"].minimum == 1
    op = op_def_registry.get("TRTEngineOp")
    assert [(arg.name, arg.type_list_attr) for arg in op.input_arg] == [("in_tensor", "InT")]
    assert [(arg.name, arg.type_list_attr) for arg in op.output_arg] == [("out_tensor", "OutT")]
    assert found["segment_func"].default_value.func.name == ""
    assert list(found["precision_mode"].allowed_values.list.s) == [b"FP32", b"FP16", b"INT8"]
    assert not op_def_registry.get("TRTEngineOp").is_stateful
    of_tf_trt = {tf.bool, tf.int8, tf.half, tf.float32, tf.int32}
    more = {tf.uint8, tf.int16, tf.uint16, tf.int64, tf.bfloat16, tf.double}
    assert {tf.as_dtype(t) for t in found["InT"].allowed_values.list.type} == of_tf_trt | more | {tf.resource}
    assert {tf.as_dtype(t) for t in found["OutT"].allowed_values.list.type} == of_tf_trt | more


@pytest.mark.parametrize("op, inputs, outputs, names", [
    ("CreateTRTResourceHandle", [], ["resource_handle"], {"resource_name"}),
    ("InitializeTRTResource", ["resource_handle", "filename"], [], {"max_cached_engines_count"}),
    ("SerializeTRTResource", ["resource_name", "filename"], [], {"delete_resource", "save_gpu_specific_engines"}),
    ("GetCalibrationDataOp", ["resource_name"], ["serialized_resource"], set()),
])
def test_the_other_ops_are_tf_trts(op, inputs, outputs, names):
    found = op_def_registry.get(op)
    assert [arg.name for arg in found.input_arg] == inputs and [arg.name for arg in found.output_arg] == outputs
    assert set(attributes(op)) == names and found.is_stateful
    types = {"resource_handle": tf.resource, "filename": tf.string, "resource_name": tf.string, "serialized_resource": tf.string}
    for arg in [*found.input_arg, *found.output_arg]:
        assert tf.as_dtype(arg.type) == types[arg.name]


def test_the_other_ops_have_tf_trts_defaults():
    assert attributes("InitializeTRTResource")["max_cached_engines_count"].default_value.i == 1
    assert attributes("SerializeTRTResource")["delete_resource"].default_value.b is False
    assert attributes("SerializeTRTResource")["save_gpu_specific_engines"].default_value.b is True
    assert not attributes("CreateTRTResourceHandle")["resource_name"].HasField("default_value")


@pytest.fixture(scope="module")
def ops():
    return tf.load_op_library(plugin.load())


def initialize(ops, name, path):
    ops.initialize_trt_resource(ops.create_trt_resource_handle(resource_name=name), str(path))


def test_initializing_takes_any_file_but_no_empty_name(ops):
    initialize(ops, "none:1", "/nowhere/at/all")
    initialize(ops, "none:1", "/nowhere/else")
    with pytest.raises(tf.errors.InvalidArgumentError, match="filename"):
        initialize(ops, "none:1", "")


def test_what_was_not_created_is_not_found(ops, tmp_path):
    with pytest.raises(tf.errors.NotFoundError, match="TRTEngineCacheResource not yet created"):
        ops.serialize_trt_resource("unknown:1", str(tmp_path / "file"))
    with pytest.raises(tf.errors.NotFoundError):
        ops.get_calibration_data_op("unknown:1")


def test_an_empty_calibration_table_is_tf_trts_unknown_error(ops):
    initialize(ops, "none:2", "/nowhere")
    with pytest.raises(tf.errors.UnknownError, match="Calibration table is empty"):
        ops.get_calibration_data_op("none:2")


def identity(loaded):
    """The engine's, in a loaded model."""
    (node,) = [node for function in loaded.graph.as_graph_def().library.function for node in function.node_def
               if node.op == "TRTEngineOp"] or [node for node in loaded.graph.as_graph_def().node if node.op == "TRTEngineOp"]
    return node.attr["_tenon_engine"].s.decode()


@pytest.mark.parametrize("used", [False, True])
def test_serializing_writes_the_engine(model, ops, used, tmp_path, monkeypatch):
    call = model.load()
    if used:
        model.check(call)
    name = identity(call.loaded)
    monkeypatch.setenv("TF_TRT_EXPORT_TRT_ENGINES_PATH", str(tmp_path))
    ops.serialize_trt_resource(name, str(tmp_path / "engine"))
    copy = model.copy(tmp_path / "copy")
    os.replace(tmp_path / "engine", copy.engines()[0])
    assert (tmp_path / name.split(":")[0]).read_bytes() == copy.engines()[0].read_bytes() != b""
    only_engines(monkeypatch)
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "true")
    del call
    gc.collect()
    copy.check(copy.load())


def test_serializing_without_engines_writes_an_empty_file_and_may_delete(model, ops, tmp_path):
    call = model.load()
    name = identity(call.loaded)
    del call
    gc.collect()
    ops.serialize_trt_resource(name, str(tmp_path / "engine"), save_gpu_specific_engines=False, delete_resource=True)
    assert (tmp_path / "engine").read_bytes() == b""
    assert os.listdir(tmp_path) == ["engine"]
    with pytest.raises(tf.errors.UnavailableError, match="cannot write"):
        model.load()
        ops.serialize_trt_resource(name, str(tmp_path / "no" / "engine"))


def test_an_engine_of_constants_survives_constant_folding(model):
    call = model.load()
    folded = tf.function(lambda: call(tf.constant(model.x)))
    np.testing.assert_allclose(folded(), model.y, rtol=1e-4, atol=1e-5)


FLOAT = tf.float32
ROWS = tf.TensorSpec((None, 3), FLOAT)


@pytest.fixture(scope="module")
def segments():
    """Functions that engine nodes may name: x * x + 1 and x + 2 * y."""
    found = [tf.function(lambda x: x * x + 1).get_concrete_function(ROWS),
             tf.function(lambda x, y: x + 2 * y).get_concrete_function(ROWS, ROWS)]
    for function in found:
        function.add_to_graph()
    return found


def engine(ops, inputs, segment, out=(FLOAT,), **more):
    return ops.trt_engine_op(in_tensor=inputs, **{"serialized_segment": "", "OutT": list(out), "workspace_size_bytes": 0,
                                                  "precision_mode": "FP32", "segment_func": segment, **more})


def test_the_shape_function_gives_the_nodes_output_shapes(ops, segments):
    @tf.function(input_signature=[ROWS])
    def shapes(x):
        known = engine(ops, [x], segments[0], output_shapes=[tf.TensorShape([None, 7])])[0]
        unknown = engine(ops, [x], segments[0])[0]
        assert known.shape.as_list() == [None, 7] and unknown.shape.rank is None
        return x
    shapes.get_concrete_function()
    with pytest.raises(ValueError, match="output_shapes: one per output wanted \\(1\\), found 2"):
        tf.function(lambda x: engine(ops, [x], segments[0], output_shapes=[tf.TensorShape([])] * 2)).get_concrete_function(ROWS)

    @tf.function
    def others():
        handle = ops.create_trt_resource_handle(resource_name="shapes:1")
        table = ops.get_calibration_data_op("shapes:1")
        assert handle.shape == table.shape == ()
    others.get_concrete_function()


@pytest.fixture(params=["natively", "by engines"])
def by(request, monkeypatch):
    plugin.build_foreign_engines(request.param == "by engines")
    yield request.param
    plugin.build_foreign_engines(False)


def ones(*shape, dtype=FLOAT):
    return tf.ones(shape, dtype)


@pytest.mark.parametrize("inputs, which, more", [
    pytest.param([ones(4, 3)], 1, {}, id="an input is missing"),
    pytest.param([ones(4, 3)] * 2, 0, {}, id="an input too many"),
    pytest.param([ones(4, 3, dtype=tf.int32)], 0, {}, id="another type"),
    pytest.param([ones(4, 3)], 0, {"out": [tf.int32]}, id="another type of result"),
    pytest.param([ones(4, 3)], 0, {"out": [FLOAT, FLOAT]}, id="a result too many"),
    pytest.param([ones(4, 3), ones(5, 7)], 1, {}, id="shapes that do not go together"),
    pytest.param([], 0, {}, id="no input"),
    pytest.param([ones(4, 3)], 0, {"out": []}, id="no result"),
    pytest.param([ones(4, 3)], 0, {"precision_mode": "FP64"}, id="no precision"),
    pytest.param([ones(4, 3)], 0, {"segment_func": "no_such_function"}, id="no such function"),
])
def test_nodes_that_cannot_be_are_tensorflows_errors(ops, segments, by, inputs, which, more):
    with pytest.raises((tf.errors.InvalidArgumentError, tf.errors.NotFoundError)):
        engine(ops, inputs, segments[which], **more)
    np.testing.assert_array_equal(engine(ops, [ones(4, 3)], segments[0])[0], np.full((4, 3), 2, np.float32))


@pytest.mark.parametrize("inputs, which, more", [
    pytest.param([ones(4, 3, 2, 1)], 0, {}, id="another rank"),
    pytest.param([ones()], 0, {}, id="a scalar"),
    pytest.param([ones(0, 3)], 0, {}, id="an empty batch"),
    pytest.param([ones(4, 3), ones(1, 3)], 1, {}, id="batches that differ"),
    pytest.param([ones(4, 3)], 0, {"input_shapes": [tf.TensorShape([None, 3])] * 2}, id="shapes of more inputs"),
    pytest.param([ones(4, 3)], 0, {"input_shapes": [tf.TensorShape([None, 3, 4])]}, id="shapes of another rank"),
    pytest.param([ones(4, 3)], 0, {"max_cached_engines_count": -1}, id="a negative capacity"),
    pytest.param([ones(4, 3)], 0, {"max_cached_engines_count": 2**40}, id="a vast capacity"),
    pytest.param([ones(4, 3)], 0, {"serialized_segment": b"TENONPLN" + b"\1" * 500}, id="a damaged engine"),
    pytest.param([ones(4, 3)], 0, {"precision_mode": "INT8", "calibration_data": b"x: 1"}, id="a calibration table"),
    pytest.param([ones(4, 3)], 0, {"profile_strategy": "optimal", "use_explicit_precision": True}, id="attributes without effect"),
])
def test_nodes_that_are_odd_compute_all_the_same(ops, segments, by, inputs, which, more):
    wanted = inputs[0] * inputs[0] + 1 if which == 0 else inputs[0] + 2 * inputs[1]
    for _ in range(2):
        np.testing.assert_array_equal(engine(ops, inputs, segments[which], **more)[0], wanted)


def test_a_node_with_neither_segment_nor_engine_says_so(ops, by):
    with pytest.raises(tf.errors.AbortedError, match="no native segment"):
        engine(ops, [ones(4, 3)], "")


def test_resource_ops_refuse_what_is_no_name(ops, tmp_path):
    handle = ops.create_trt_resource_handle(resource_name="odd:1")
    for names in (tf.constant(["a", "b"]), tf.constant([], tf.string)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="scalar"):
            ops.initialize_trt_resource(handle, names)
        with pytest.raises(tf.errors.InvalidArgumentError, match="scalar"):
            ops.serialize_trt_resource("odd:1", names)
        with pytest.raises(tf.errors.InvalidArgumentError, match="scalar"):
            ops.get_calibration_data_op(names)
    several = tf.raw_ops.Pack(values=[handle, handle], axis=0)
    for handles in (several, several[:0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="resource"):
            ops.initialize_trt_resource(handles, "file")


def test_a_resource_input_of_no_elements_is_an_error(ops, by):
    variable = tf.Variable([1.0, 2.0, 3.0])

    @tf.function
    def read(x, handle):
        return x + tf.raw_ops.ReadVariableOp(resource=handle, dtype=FLOAT)
    handle = variable.handle
    segment = read.get_concrete_function(ROWS, tf.TensorSpec((), tf.resource))
    segment.add_to_graph()
    np.testing.assert_array_equal(engine(ops, [ones(4, 3), handle], segment)[0], ones(4, 3) + variable)
    none = tf.raw_ops.Pack(values=[handle, handle], axis=0)[:0]
    with pytest.raises(tf.errors.OpError):
        engine(ops, [ones(4, 3), none], segment)
