"""Converted models inside TensorFlow: every way in which TensorFlow runs a graph."""
import concurrent.futures
import multiprocessing

import numpy as np
import pytest
import tensorflow as tf
from plugin_models import Model, convert, make_model, only_engines, run_python, save_frozen


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


@pytest.mark.parametrize("capacity", [1, 3])
@pytest.mark.parametrize("dynamic", [False, True])
def test_many_threads_while_engines_are_built_and_evicted(model, dynamic, capacity, tmp_path, monkeypatch):
    """Eager calls, a session's and the converter's own function, with batches for which there is no engine yet."""
    from tenon import trt_convert as trt
    converter = trt.TrtGraphConverterV2(input_saved_model_dir=str(model.folder.parent / "source"), use_dynamic_shape=dynamic,
                                        maximum_cached_engines=capacity)
    function = converter.convert()
    converter.save(str(tmp_path / "model"))
    copy = Model(tmp_path / "model", model.x, model.y)
    calls = [copy.load(), open_session(copy), lambda x: next(iter(function(tf.constant(x)).values()))]
    only_engines(monkeypatch, not dynamic)  # the first call's shape is all that profiles hold

    def one(number):
        rows = np.arange(number % 5 + 1) % 4
        np.testing.assert_allclose(calls[number % 3](model.x[rows]), model.y[rows], rtol=1e-3, atol=1e-4)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(one, number) for number in range(90)]:
            done.result(timeout=300)


THREADS = """
import os, sys
import numpy as np, tensorflow as tf
from tenon import trt_convert as trt
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
tf.config.threading.set_inter_op_parallelism_threads(1)
x = tf.zeros((8, 16, 16, 3))
source = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
source(x), tf.matmul(tf.ones((900, 900)), tf.ones((900, 900)))
def threads():
    return len(os.listdir("/proc/self/task"))
before = threads()
converter = trt.TrtGraphConverterV2(input_saved_model_dir=sys.argv[1])
function = converter.convert()
converter.build(lambda: iter([(x,)]))
function(x)
converter.save(sys.argv[3])
tf.saved_model.load(sys.argv[3]).signatures["serving_default"](x)
print("threads", threads() - before)
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_engines_run_on_as_many_threads_as_tensorflows_pool_has(model, threads, tmp_path):
    output = run_python(THREADS, model.folder.parent / "source", threads, tmp_path / "out")
    (line,) = [line for line in output.splitlines() if line.startswith("threads")]
    assert int(line.split()[1]) == threads - 1  # the calling thread works too


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


MEMORY = """
import resource, sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
reads, writes = (tf.saved_model.load(folder).signatures["serving_default"] for folder in sys.argv[1:])
rows = 1 << 19                      # of 64 floats: 128 MB
one = tf.ones((rows, 1))
many = tf.ones((rows, 64))
reads(many[:1000]), writes(one[:1000])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
start = peak()
reads(many)
print("read", peak() - start)
del many
tf.ones((rows, 64)), tf.ones((rows, 64))
writes(one)
start = peak()
held = [writes(one)]
held.append(writes(one))
print("written", peak() - start)
"""


def test_large_tensors_are_read_and_written_where_they_lie(tmp_path):
    weights = np.random.default_rng(0).random((64, 1), dtype=np.float32)
    folders = []
    def product(factor):
        return lambda x: tf.nn.relu(tf.matmul(x, factor) + 1.0)
    for name, factor in [("reads", weights), ("writes", weights.T)]:
        save_frozen(tmp_path / name, product(factor), tf.TensorSpec((None, len(factor)), tf.float32))
        folders.append(convert(tmp_path / name, tmp_path / (name + "_converted")))
    printed = run_python(MEMORY, *folders, TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION="false").splitlines()
    grown = {line.split()[0]: int(line.split()[1]) for line in printed if line.startswith(("read", "written"))}
    assert grown["read"] < 32        # MB: no copy of 128
    assert grown["written"] < 2 * 128 + 64


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


def some_arithmetic(dtype):
    """Three or more ops that the type has kernels for."""
    if dtype == tf.bool:
        return lambda x: tf.logical_or(tf.logical_not(x), tf.logical_and(x, tf.reverse(x, [1])))
    if dtype.is_integer and dtype.size < 4:
        return lambda x: tf.cast(tf.nn.relu(tf.cast(x, tf.float32) * 2.0 - 3.0), dtype)
    return lambda x: tf.concat([x * x + x, tf.maximum(x, tf.cast(2, dtype)) - x], 1)


@pytest.mark.parametrize("dtype", [tf.bool, tf.int8, tf.uint8, tf.int16, tf.uint16, tf.int32, tf.int64, tf.half, tf.bfloat16, tf.float32,
                                   tf.float64], ids=lambda dtype: dtype.name)
def test_tensors_of_every_type_go_in_and_out(dtype, tmp_path, monkeypatch):
    function = some_arithmetic(dtype)
    save_frozen(tmp_path / "source", function, tf.TensorSpec((None, 5), dtype))
    folder = convert(tmp_path / "source", tmp_path / "converted", minimum_segment_size=1)
    assert list((folder / "assets").iterdir())
    x = tf.cast(np.random.default_rng(1).integers(0, 7, (4, 5)), dtype)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    only_engines(monkeypatch)
    for part in (x, x[1:], x[3:], x[:0]):  # x[1:] begins where its type is aligned, and hardly more
        found, wanted = signature(part)["y"], function(part)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        np.testing.assert_allclose(tf.cast(found, tf.float64), tf.cast(wanted, tf.float64), rtol=1e-2 if dtype.size == 2 else 1e-5)


def test_strings_stay_with_tensorflow_around_the_engine(tmp_path, monkeypatch):
    weights = np.random.default_rng(1).random((2, 3), dtype=np.float32)
    function = lambda x: tf.strings.as_string(tf.nn.relu(tf.matmul(tf.strings.to_number(x), weights) * 2.0 + 1.0), precision=3)
    save_frozen(tmp_path / "source", function, tf.TensorSpec((None, 2), tf.string))
    folder = convert(tmp_path / "source", tmp_path / "converted")
    assert list((folder / "assets").iterdir())
    only_engines(monkeypatch)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    x = tf.constant([["1", "2.5"], ["-3", "4"]])
    assert signature(x)["y"].numpy().tolist() == function(x).numpy().tolist()


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
