"""TrtGraphConverter and create_inference_graph: frozen graphs and SavedModels, without TensorFlow and in its graph mode."""
import struct

import numpy as np
import pytest

import tenon
import wire
from tenon import trt_convert as trt
from trt_models import expected, model
from trt_world import graph_mode, world  # noqa: F401  (a fixture)

FLOAT = wire.varint(6 << 3) + wire.varint(1)  # AttrValue.type


def _attribute(name, value):
    return wire.field(5, wire.field(1, name.encode()) + wire.field(2, value))


def _node(name, op, inputs=(), **attributes):
    content = wire.field(1, name.encode()) + wire.field(2, op.encode())
    content += b"".join(wire.field(3, source.encode()) for source in inputs)
    return wire.field(1, content + b"".join(_attribute(key, value) for key, value in attributes.items()))


def _constant(name, value):
    tensor = wire.varint(1 << 3) + wire.varint(1) + wire.field(2, b"") + wire.field(5, struct.pack("<f", value))
    return _node(name, "Const", dtype=FLOAT, value=wire.field(8, tensor))


def graph_bytes():
    """y = Identity((x · 2 + 1) · 2) of x [?,3]."""
    unknown = wire.varint(1 << 3) + b"\xff" * 9 + b"\x01"
    shape = wire.field(7, wire.field(2, unknown) + wire.field(2, wire.varint(1 << 3) + wire.varint(3)))
    return b"".join([
        _node("x", "Placeholder", dtype=FLOAT, shape=shape), _constant("two", 2), _constant("one", 1),
        _node("double", "Mul", ["x", "two"], T=FLOAT), _node("more", "AddV2", ["double", "one"], T=FLOAT),
        _node("last", "Mul", ["more", "two"], T=FLOAT), _node("y", "Identity", ["last"], T=FLOAT)])


def given(world):
    """The graph as the world holds it."""
    if world.name == "arrays":
        return graph_bytes()
    from tensorflow.core.framework import graph_pb2
    return graph_pb2.GraphDef.FromString(graph_bytes())


def run_graph(world, graph, x, path):
    """y of a GraphDef."""
    if world.name == "arrays":
        path.write_bytes(graph)
        return tenon.Session(path, inputs=["x:0"], outputs=["y:0"]).run({"x:0": x})["y:0"]
    import tensorflow as tf
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        [y] = tf.graph_util.import_graph_def(graph, return_elements=["y:0"], name="")
        return session.run(y, {"x:0": x})


def node_names(graph):
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    return {name.decode() for name in wire.contents(content, 1, 1)}


def converter(**arguments):
    made = trt.TrtGraphConverter(**{"minimum_segment_size": 2, **arguments})
    made.options.quiet = True
    return made


X = np.float32([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("arguments", [{"is_dynamic_op": True, "max_batch_size": None}, {"is_dynamic_op": False, "max_batch_size": 2}])
@pytest.mark.parametrize("outputs", [["y"], ["y:0"], None])
def test_a_frozen_graph_becomes_inputs_one_engine_and_outputs(world, tmp_path, arguments, outputs):
    with graph_mode(world):
        graph = converter(input_graph_def=given(world), nodes_denylist=outputs, **arguments).convert()
    assert node_names(graph) == {"x", "TRTEngineOp_000_000", "y"}
    np.testing.assert_allclose(run_graph(world, graph, X, tmp_path / "graph.pb"), (2 * X + 1) * 2)


def test_static_engines_are_in_the_graph(world):
    with graph_mode(world):
        static = converter(input_graph_def=given(world), nodes_denylist=["y"], max_batch_size=4)
        graph = static.convert()
        dynamic = converter(input_graph_def=given(world), nodes_denylist=["y"], is_dynamic_op=True).convert()
    size = [len(content if isinstance(content, bytes) else content.SerializeToString()) for content in (graph, dynamic)]
    assert size[0] > size[1] + 1000
    [entry] = static._model.resource(static._model.engines[0]).entries()
    assert entry["min"] == [[1, 3]] and entry["max"] == [[4, 3]]


def test_denied_nodes_stay(world):
    with graph_mode(world):
        graph = converter(input_graph_def=given(world), nodes_denylist=["y", "more"], minimum_segment_size=1).convert()
    assert {"y", "more"} <= node_names(graph)


def test_create_inference_graph_does_the_same_in_one_call(world, tmp_path):
    with graph_mode(world):
        graph = trt.create_inference_graph(given(world), ["y"], max_batch_size=2, minimum_segment_size=2)
    np.testing.assert_allclose(run_graph(world, graph, X, tmp_path / "graph.pb"), (2 * X + 1) * 2)


def test_create_inference_graph_saves_a_saved_model(world, tmp_path):
    model(tmp_path / "model", [-1, 3])
    with graph_mode(world):
        trt.create_inference_graph(None, [], max_batch_size=4, minimum_segment_size=2, input_saved_model_dir=str(tmp_path / "model"),
                                   output_saved_model_dir=str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "assets" / "trt-serialized-engine.TRTEngineOp_000_000").stat().st_size > 0
    session = tenon.Session(tmp_path / "saved")
    np.testing.assert_array_equal(session.run({"x": X})["y"], expected(X))
    assert [(engine.calls, engine.native_calls) for engine in session.engines] == [(1, 0)]


def test_int8_is_calibrated_by_a_call_of_its_own(world, tmp_path):
    runs = []

    def feed():
        runs.append(1)
        return {"x:0": X}
    with graph_mode(world):
        made = converter(input_graph_def=given(world), nodes_denylist=["y"], precision_mode="INT8")
        graph = made.convert()
        with pytest.raises(ValueError):
            made.calibrate(["y:0"], 3)
        with pytest.raises(ValueError):
            made.calibrate(["y:0"], 3, feed_dict_fn=feed, input_map_fn=feed)
        assert made.calibrate(["y:0"], 3, feed_dict_fn=feed) == graph
        with pytest.raises(AssertionError):
            made.calibrate(["y:0"], 3, feed_dict_fn=feed)
    assert len(runs) == 3


WRONG = {
    "both inputs": (ValueError, {"input_graph_def": b"x", "input_saved_model_dir": "x"}),
    "no input": (ValueError, {}),
    "a static engine without a batch": (ValueError, {"input_saved_model_dir": "x", "max_batch_size": None}),
    "a precision that does not exist": (ValueError, {"input_saved_model_dir": "x", "precision_mode": "FP8"}),
    "a segment size that does not exist": (ValueError, {"input_saved_model_dir": "x", "minimum_segment_size": 0}),
}


@pytest.mark.parametrize("case", WRONG)
def test_arguments_that_do_not_go_together_are_refused(world, case):
    error, arguments = WRONG[case]
    with graph_mode(world), pytest.raises(error):
        trt.TrtGraphConverter(**arguments)


def test_a_wrong_order_of_calls_raises_what_tf_trt_raises(world, tmp_path):
    with graph_mode(world):
        made = converter(input_graph_def=given(world), nodes_denylist=["y"])
        for call in (lambda: made.save("nowhere"), lambda: made.calibrate(["y:0"], 1, feed_dict_fn=dict)):
            with pytest.raises(AssertionError):
                call()
        made.convert()
        with pytest.raises(AssertionError):
            made.convert()
        with pytest.raises(AssertionError):
            made.calibrate(["y:0"], 1, feed_dict_fn=dict)
        with pytest.raises(ValueError):
            made.save(str(tmp_path / "saved"))


def test_bytes_that_are_no_graph_are_refused(world):
    with graph_mode(world), pytest.raises((ValueError, tenon.Error)):
        converter(input_graph_def=b"no graph at all").convert()


def test_what_has_no_effect_is_told(world, caplog):
    with graph_mode(world):
        converter(input_saved_model_dir="x", is_dynamic_op=True, max_batch_size=8)
        converter(input_saved_model_dir="x", precision_mode="INT8")
    messages = [record.message for record in caplog.records]
    assert any("max_batch_size" in message for message in messages)
    assert any("is_dynamic_op" in message for message in messages)


# ---- SavedModels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{"is_dynamic_op": True}, {"max_batch_size": 2}])
def test_the_signature_that_is_named_is_converted_and_saved_alone(world, scale_model, tmp_path, arguments):
    with graph_mode(world):
        made = converter(input_saved_model_dir=str(scale_model), input_saved_model_tags=["serve"], input_saved_model_signature_key="triple",
                         minimum_segment_size=1, **arguments)
        graph = made.convert()
        made.save(str(tmp_path / "saved"))
    assert "triple" in node_names(graph) and "double" not in node_names(graph)
    session = tenon.Session(tmp_path / "saved")
    assert session.signature_keys == ["triple"]
    np.testing.assert_array_equal(session.run({"x": X})["y"], 3 * X)


def test_a_calibrated_saved_model_is_saved_only_after_calibration(world, tmp_path):
    folder = model(tmp_path / "model", [-1, 3])
    with graph_mode(world):
        made = converter(input_saved_model_dir=str(folder), precision_mode="INT8", is_dynamic_op=True)
        made.convert()
        with pytest.raises(AssertionError):
            made.save(str(tmp_path / "saved"))
        made.calibrate(["y:0"], 2, feed_dict_fn=lambda: {"in_x:0": X})
        made.save(str(tmp_path / "saved"))
    np.testing.assert_array_equal(tenon.Session(tmp_path / "saved").run({"x": X})["y"], expected(X))


def test_denied_nodes_of_a_saved_model_stay(world, tmp_path):
    folder = model(tmp_path / "model", [-1, 3])
    with graph_mode(world):
        graph = converter(input_saved_model_dir=str(folder), nodes_denylist=["double"], minimum_segment_size=1).convert()
    assert "double" in node_names(graph)


# ---- engines of graphs --------------------------------------------------------------------------------------------------------


def test_a_segment_size_of_minus_one_makes_no_engine(world, tmp_path):
    with graph_mode(world):
        graph = converter(input_graph_def=given(world), nodes_denylist=["y"], minimum_segment_size=-1).convert()
    assert not any(name.startswith("TRTEngineOp") for name in node_names(graph))
    np.testing.assert_allclose(run_graph(world, graph, X, tmp_path / "graph.pb"), (2 * X + 1) * 2)


def test_static_engines_serve_their_batch_and_smaller_ones_and_never_grow(world, tmp_path, monkeypatch):
    with graph_mode(world):
        graph = converter(input_graph_def=given(world), nodes_denylist=["y"], max_batch_size=2).convert()
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    for rows in (1, 2):
        np.testing.assert_allclose(run_graph(world, graph, X[:rows], tmp_path / "graph.pb"), (2 * X[:rows] + 1) * 2)
    more = np.concatenate([X, X])
    with pytest.raises(world.refusal):
        run_graph(world, graph, more, tmp_path / "graph.pb")
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "True")
    np.testing.assert_allclose(run_graph(world, graph, more, tmp_path / "graph.pb"), (2 * more + 1) * 2)


def test_dynamic_engines_are_built_by_calls_and_evicted(world, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    with graph_mode(world):
        graph = converter(input_graph_def=given(world), nodes_denylist=["y"], is_dynamic_op=True, maximum_cached_engines=2).convert()
    for rows in (1, 2, 3, 1):
        x = np.full((rows, 3), rows, np.float32)
        np.testing.assert_allclose(run_graph(world, graph, x, tmp_path / "graph.pb"), (2 * x + 1) * 2)


def test_calibration_is_refused_where_none_is_needed(world):
    with graph_mode(world):
        for arguments in ({"precision_mode": "FP16"}, {"precision_mode": "INT8", "use_calibration": False}):
            made = converter(input_graph_def=given(world), nodes_denylist=["y"], **arguments)
            made.convert()
            with pytest.raises(AssertionError):
                made.calibrate(["y:0"], 1, feed_dict_fn=lambda: {"x:0": X})


def test_calibration_data_may_be_tensors_of_the_graph(world):
    runs = []

    def inputs():
        runs.append(1)
        if world.name == "arrays":
            return {"x:0": X}
        import tensorflow as tf
        return {"x:0": tf.constant(X)}
    with graph_mode(world):
        made = converter(input_graph_def=given(world), nodes_denylist=["y"], precision_mode="INT8", is_dynamic_op=True)
        made.convert()
        made.calibrate(["y:0"], 2, input_map_fn=inputs)
    assert runs


def test_errors_of_calibration_functions_come_through_and_calibration_may_be_repeated(world):
    def broken():
        raise ZeroDivisionError
    with graph_mode(world):
        made = converter(input_graph_def=given(world), nodes_denylist=["y"], precision_mode="INT8", is_dynamic_op=True)
        made.convert()
        with pytest.raises(ZeroDivisionError):
            made.calibrate(["y:0"], 1, feed_dict_fn=broken)
        made.calibrate(["y:0"], 1, feed_dict_fn=lambda: {"x:0": X})


@pytest.mark.parametrize("precision", ["FP32", "FP16", "INT8"])
def test_create_inference_graph_asks_for_no_calibration(world, tmp_path, precision):
    with graph_mode(world):
        graph = trt.create_inference_graph(given(world), ["y"], 2, 1 << 25, precision, 2, True, 4)
    np.testing.assert_allclose(run_graph(world, graph, X, tmp_path / "graph.pb"), (2 * X + 1) * 2)
