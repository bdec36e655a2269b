"""What TF-TRT's published tests of its converters assert, rebuilt: variables that stay variables, INT8 with more batches, mixed inputs, the
end of an engine's life."""
import gc

import numpy as np
import pytest
import tensorflow as tf

from plugin_models import signature
from tenon import _native
from trt_models import converter


def save_with_variables(folder, resource):
    """out = (x + a)·b of two variables, as TensorFlow 1 saves it: 42 for ones."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 1, 1], name="x")
        a = tf.compat.v1.get_variable("a", [], initializer=tf.compat.v1.constant_initializer(5.0), use_resource=resource)
        b = tf.compat.v1.get_variable("b", [], initializer=tf.compat.v1.constant_initializer(7.0), use_resource=resource)
        out = tf.identity((x + a) * b, name="out")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(folder), {"x": x}, {"out": out})


@pytest.mark.parametrize("resource", [False, True], ids=["VariableV2", "ReadVariableOp"])
@pytest.mark.parametrize("freeze", [False, True])
def test_one_engine_has_both_variables(tmp_path, monkeypatch, resource, freeze):
    if not freeze:
        monkeypatch.setenv("TF_TRT_EXPERIMENTAL_FEATURES", "disable_graph_freezing")
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    save_with_variables(tmp_path / "model", resource)
    made = converter(tmp_path / "model", minimum_segment_size=3, precision_mode="FP16", use_dynamic_shape=True,
                     dynamic_shape_profile_strategy="Optimal")
    function = made.convert()
    [engine] = made._model.engines
    if freeze:
        assert engine["ops"]["Const"] == 2 and "resource" not in engine["input_types"]
    else:
        assert len(engine["input_types"]) == 3  # x and both variables
    ones = np.ones((4, 1, 1), np.float32)
    made.build(lambda: iter([ones]))
    np.testing.assert_array_equal(function(ones)["out"], np.full((4, 1, 1), 42))
    made.save(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "variables").exists() == (not freeze)
    np.testing.assert_array_equal(signature(tmp_path / "saved")(x=tf.constant(ones))["out"], np.full((4, 1, 1), 42))


class Squares(tf.Module):
    """(a + 1)² + b"""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="a"), tf.TensorSpec([None, 2], name="b")])
    def call(self, a, b):
        more = a + 1
        return {"y": more * more + b}


@pytest.fixture
def squares(tmp_path):
    module = Squares()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    return tmp_path / "model"


def pair(rows):
    return tf.ones([rows, 2]), tf.ones([rows, 2]) * 2


def entries(made):
    [engine] = made._model.engines
    return sorted(entry["max"][0][0] for entry in made._model.resource(engine).entries())


def test_int8_serves_the_batch_of_calibration_then_builds_for_more_rows_before_and_after_it_is_saved(squares, tmp_path):
    made = converter(squares, minimum_segment_size=3, precision_mode="INT8", maximum_cached_engines=10)
    function = made.convert(lambda: iter([pair(4)] * 3))
    assert entries(made) == [4]
    made.build(lambda: iter([pair(5)]))
    assert entries(made) == [4, 5]
    np.testing.assert_allclose(function(*pair(3))["y"], np.full((3, 2), 6), atol=1e-6)
    made.save(str(tmp_path / "saved"))
    assert [path.stat().st_size > 0 for path in (tmp_path / "saved" / "assets").iterdir()] == [True]
    loaded = signature(tmp_path / "saved")
    for rows in (4, 5, 6):
        a, b = pair(rows)
        np.testing.assert_allclose(loaded(a=a, b=b)["y"], np.full((rows, 2), 6), atol=1e-6)


def test_inputs_of_build_may_come_in_different_forms(squares):
    a, b = pair(2)
    made = converter(squares, minimum_segment_size=3, maximum_cached_engines=10, use_dynamic_shape=True,
                     dynamic_shape_profile_strategy="Optimal")
    made.convert()
    made.build(lambda: iter([[a, b], (a.numpy(), b), {"a": a, "b": b.numpy()}, [a.numpy().tolist(), b], {"b": pair(3)[1], "a": pair(3)[0]}]))
    assert entries(made) == [2, 3]


def test_engines_go_with_the_last_who_holds_them(squares, tmp_path):
    made = converter(squares, minimum_segment_size=3)
    function = made.convert()
    made.build(lambda: iter([pair(2)]))
    made.save(str(tmp_path / "saved"))
    [identity] = [made._model.resource(engine).identity() for engine in made._model.engines]
    assert entries(made) == [] and _native.EngineResource.find(identity) is not None
    loaded = signature(tmp_path / "saved")
    a, b = pair(2)
    [stored] = {node.attr["_tenon_engine"].s.decode() for node in loaded.graph.as_graph_def().node if node.op == "TRTEngineOp"}
    loaded(a=a, b=b)
    resource = _native.EngineResource.find(stored)
    assert resource is not None and resource.has_engine()
    del resource, loaded, function, made
    for _ in range(3):
        gc.collect()
    assert _native.EngineResource.find(identity) is None
