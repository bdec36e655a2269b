"""Models that the real TF-TRT converted: they run natively at once, and on engines of Tenon when that is asked for."""
import numpy as np
import pytest
import tensorflow as tf
from foreign_models import X, net, save_foreign
from plugin_models import need_shared, only_engines

import tenon
import tenon.tensorflow

TENSORRT = b"ftrt" + bytes(range(256)) * 4
WRITTEN = {
    "dynamic": {},
    "static": {"serialized_segment": TENSORRT, "static_engine": True},
    "fp16": {"precision_mode": b"FP16", "max_cached_engines_count": 100},
    "calibrated": {"precision_mode": b"INT8", "use_calibration": True, "calibration_data": b"TRT-7103-EntropyCalibration2\nx: 3c010a14\n"},
    "not calibrated yet": {"precision_mode": b"INT8", "use_calibration": True},
    "quantized": {"precision_mode": b"INT8", "use_explicit_precision": True},
    "profiles": {"strategy": b"Range"},
    "optimal": {"strategy": b"Optimal"},
    "implicit batch profiles": {"strategy": b"ImplicitBatchModeCompatible"},
    "both": {"strategy": b"Range+Optimal", "max_cached_engines_count": 5},
    "without files": {"files": False},
    "no device": {"device": ""},
}


@pytest.fixture(autouse=True)
def unasked(monkeypatch):
    """Nothing asks for engines, and what a test asks for ends with it."""
    monkeypatch.setenv("TENON_BUILD_FOREIGN_ENGINES", "0")


def load(folder):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return lambda x: next(iter(signature(tf.constant(x)).values())).numpy()


def in_session(folder, x):
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)  # the nodes name a GPU
    with tf.compat.v1.Session(graph=tf.Graph(), config=config) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
        (source,), (result,) = signature.inputs.values(), signature.outputs.values()
        return session.run(result.name, {source.name: x})


def check(result, x=X):
    np.testing.assert_allclose(result, net(x), rtol=1e-5)


@pytest.mark.parametrize("written", WRITTEN)
def test_whatever_tf_trt_wrote_runs_natively_at_once(written, tmp_path):
    folder = save_foreign(tmp_path / "model", **WRITTEN[written])
    call = load(folder)
    check(call(X))
    check(call(X[:0]), X[:0])
    check(in_session(folder, X))


@pytest.mark.parametrize("written", WRITTEN)
def test_whatever_tf_trt_wrote_gets_engines_by_the_flag(written, tmp_path, monkeypatch):
    call = load(save_foreign(tmp_path / "model", **WRITTEN[written]))
    tenon.tensorflow.build_foreign_engines()
    only_engines(monkeypatch)
    for _ in range(2):
        check(call(X))
    if "strategy" in WRITTEN[written] and "implicit" not in written:  # its profile is the first call's
        with pytest.raises(tf.errors.AbortedError, match="no profile"):
            call(X[:2])
    else:
        check(call(X[:2]), X[:2])


def test_a_node_that_may_not_build_stays_native(tmp_path, monkeypatch):
    call = load(save_foreign(tmp_path / "model", _allow_build_at_runtime=False))
    tenon.tensorflow.build_foreign_engines()
    check(call(X))
    only_engines(monkeypatch)
    with pytest.raises(tf.errors.AbortedError, match="not allowed"):
        call(X)


def test_nodes_of_one_segment_with_other_rules_do_not_share_engines(tmp_path, monkeypatch):
    calls = [load(save_foreign(tmp_path / name, **WRITTEN[name])) for name in ("profiles", "dynamic")]
    tenon.tensorflow.build_foreign_engines()
    only_engines(monkeypatch)
    for call in calls:
        check(call(X))
    check(calls[1](X[:2]), X[:2])


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("dynamic", [False, True])
def test_converting_again_gives_fresh_engines(written, dynamic, tmp_path, monkeypatch):
    from tenon import trt_convert as trt
    folder = save_foreign(tmp_path / "model", **WRITTEN[written])
    converter = trt.TrtGraphConverterV2(input_saved_model_dir=str(folder), use_dynamic_shape=dynamic)
    function = converter.convert()
    converter.build(lambda: iter([(X,)]))
    only_engines(monkeypatch)
    check(next(iter(function(tf.constant(X)).values())))
    converter.save(str(tmp_path / "converted"))
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "1")
    check(load(tmp_path / "converted")(X))


def test_without_tensorflow_it_runs_too(tmp_path):
    result = tenon.Session(str(save_foreign(tmp_path / "model"))).run({"x": X})
    check(next(iter(result.values())))


@pytest.mark.parametrize("build", [False, True])
def test_a_model_of_the_real_tf_trt(build, monkeypatch):
    folder = need_shared("tftrt_2.0/tftrt_2.0_saved_model")
    tenon.tensorflow.build_foreign_engines(build)
    only_engines(monkeypatch, build)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    ones = tf.ones((4, 1, 1))
    np.testing.assert_array_equal(signature(input1=ones, input2=ones)["output_0"], np.full((4, 1, 1), 5, np.float32))


def test_a_tf1_model_converted_in_memory_by_older_names():
    """A node whose segment stands in segment_funcdef_name, as TensorFlow 1 wrote it."""
    graph_def = tf.compat.v1.GraphDef()
    square = tf.function(lambda x: tf.square(x) + 1).get_concrete_function(tf.TensorSpec((None, 2), tf.float32))
    graph_def.library.function.add().CopyFrom(square.function_def)
    x = graph_def.node.add(name="x", op="Placeholder")
    x.attr["dtype"].type = tf.float32.as_datatype_enum
    node = graph_def.node.add(name="my_trt_op_0", op="TRTEngineOp", input=["x"])
    for name in ("InT", "OutT"):
        node.attr[name].list.type.append(tf.float32.as_datatype_enum)
    node.attr["segment_funcdef_name"].s = square.function_def.signature.name.encode()
    node.attr["cached_engine_batches"].list.i.extend([1, 8])
    node.attr["fixed_input_size"].b = True
    node.attr["serialized_segment"].s = b""
    node.attr["precision_mode"].s = b"FP32"
    node.attr["workspace_size_bytes"].i = 1
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        with session.graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
        result = session.run("my_trt_op_0:0", {"x:0": [[1, 2]]})
    np.testing.assert_array_equal(result, [[2, 5]])
