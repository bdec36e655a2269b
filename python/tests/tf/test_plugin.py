"""Converted models inside TensorFlow: every way in which TensorFlow runs a graph."""
import concurrent.futures
import multiprocessing

import numpy as np
import pytest
import tensorflow as tf
from plugin_models import make_model, only_engines, run_python


def test_a_signature_is_computed_by_its_engine(model, monkeypatch):
    only_engines(monkeypatch)
    model.check(model.load())


def test_a_loaded_signature_shows_the_shapes_of_its_outputs(model):
    (output,) = model.load().signature.structured_outputs.values()
    assert output.shape.as_list() == [None, 5] and output.dtype == tf.float32


def test_a_model_with_variables_is_computed_by_its_engine(tmp_path, monkeypatch):
    model = make_model(tmp_path, freeze=False)
    only_engines(monkeypatch)
    model.check(model.load())


def test_a_function_around_it_and_another_around_that(model, monkeypatch):
    only_engines(monkeypatch)
    inner = tf.function(model.load())
    outer = tf.function(lambda x: inner(x) * 2)
    np.testing.assert_allclose(outer(model.x), 2 * model.y, rtol=1e-4, atol=1e-5)


def test_a_keras_layer_around_it(model, monkeypatch):
    only_engines(monkeypatch)
    layer = tf.keras.layers.TFSMLayer(str(model.folder), call_endpoint="serving_default")
    np.testing.assert_allclose(next(iter(layer(model.x).values())), model.y, rtol=1e-4, atol=1e-5)


def test_a_loop_calls_it_again_and_again(model, monkeypatch):
    only_engines(monkeypatch)
    call = model.load()

    @tf.function
    def total(x, times):
        result = tf.zeros((4, 5))
        for _ in tf.range(times):
            result += call(x)
        return result
    np.testing.assert_allclose(total(model.x, tf.constant(3)), 3 * model.y, rtol=1e-4, atol=1e-4)


def open_session(model):
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(model.folder))
    signature = meta_graph.signature_def["serving_default"]
    (source,), (result,) = signature.inputs.values(), signature.outputs.values()
    def call(x):
        return session.run(result.name, {source.name: x})
    call.session = session
    return call


def test_several_sessions_of_one_model(model, monkeypatch):
    only_engines(monkeypatch)
    sessions = [open_session(model) for _ in range(3)]
    for call in sessions:
        model.check(call)
    sessions[0].session.close()
    model.check(sessions[1])


def test_many_threads_through_one_session_and_one_function(model, monkeypatch):
    only_engines(monkeypatch)
    calls = [open_session(model), model.load()]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(model.check, calls[i % 2]) for i in range(64)]:
            done.result()


def test_parallel_maps_of_a_dataset(model, monkeypatch):
    only_engines(monkeypatch)
    data = tf.data.Dataset.from_tensor_slices(model.x).batch(1).map(model.load(), num_parallel_calls=4).unbatch().batch(4)
    for _ in range(2):
        np.testing.assert_allclose(next(iter(data)), model.y, rtol=1e-4, atol=1e-5)


def test_slices_of_a_batch_are_read_where_they_lie(model, monkeypatch):
    only_engines(monkeypatch)
    call = tf.function(model.load())
    whole = tf.constant(np.concatenate([model.x[:1], model.x]))
    np.testing.assert_allclose(call(whole[1:]), model.y, rtol=1e-4, atol=1e-5)


def test_batches_of_any_size_even_none(model, monkeypatch):
    call = model.load()
    for count in (1, 3, 7):
        x = np.resize(model.x, (count, 16, 16, 3))
        np.testing.assert_allclose(call(x), np.resize(model.y, (count, 5)), rtol=1e-4, atol=1e-5)
    assert call(model.x[:0]).shape == (0, 5)


def test_wrong_inputs_are_told_as_tensorflow_tells_them(model):
    call = model.load()
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        call(np.zeros((1, 1, 1, 3), np.float32))
    model.check(call)


AUTO_CLUSTERED = """
import sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
tf.config.optimizer.set_jit("autoclustering")
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
x, y = np.load(sys.argv[2]), np.load(sys.argv[3])

@tf.function
def around(x):
    return tf.exp(tf.tanh(next(iter(signature(tf.nn.relu(x * 2 + 1) / 2 - 0.5).values())) * 2 + 1))

for _ in range(3):
    np.testing.assert_allclose(around(x), np.exp(np.tanh(y * 2 + 1)), rtol=1e-3)
"""


def test_xla_clusters_what_is_around_an_engine(model, tmp_path):
    np.save(tmp_path / "x.npy", model.x)
    np.save(tmp_path / "y.npy", model.y)
    run_python(AUTO_CLUSTERED, model.folder, tmp_path / "x.npy", tmp_path / "y.npy",
               TF_XLA_FLAGS="--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit --tf_xla_min_cluster_size=1",
               TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION="false")


def test_compiling_an_engine_with_xla_is_tensorflows_own_error(model):
    compiled = tf.function(model.load(), jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="TRTEngineOp"):
        compiled(model.x)


MIRRORED = """
import sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
x, y = np.load(sys.argv[2]), np.load(sys.argv[3])

@tf.function
def step(x):
    return next(iter(signature(x).values()))

data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(x).batch(4))
for batch in data:
    parts = strategy.experimental_local_results(strategy.run(step, (batch,)))
    assert len(parts) == 2
    np.testing.assert_allclose(np.concatenate(parts), y, rtol=1e-4, atol=1e-5)
with tf.device("/cpu:1"):
    np.testing.assert_allclose(tf.function(step)(x), y, rtol=1e-4, atol=1e-5)
"""


def test_replicas_of_a_distribution_strategy(model, tmp_path):
    np.save(tmp_path / "x.npy", model.x)
    np.save(tmp_path / "y.npy", model.y)
    run_python(MIRRORED, model.folder, tmp_path / "x.npy", tmp_path / "y.npy", TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION="false")


def in_another_process(folder, x):
    import tenon.tensorflow as plugin
    plugin.load()
    return next(iter(tf.saved_model.load(folder).signatures["serving_default"](tf.constant(x)).values())).numpy()


def test_spawned_processes(model, monkeypatch):
    only_engines(monkeypatch)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for result in pool.map(in_another_process, [str(model.folder)] * 2, [model.x] * 2):
            np.testing.assert_allclose(result, model.y, rtol=1e-4, atol=1e-5)
