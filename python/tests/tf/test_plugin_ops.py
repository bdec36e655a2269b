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
