"""Models side by side, again and again, and gone: whose engine answers, and what stays behind."""
import gc
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from plugin_models import Model, only_engines
from tensorflow.python.eager import context


def test_models_whose_engines_bear_the_same_names_do_not_meet(model, other_model, monkeypatch):
    only_engines(monkeypatch)
    assert [path.name for path in model.engines()] == [path.name for path in other_model.engines()]
    calls = [model.load(), other_model.load()]
    for _ in range(2):
        model.check(calls[0])
        other_model.check(calls[1])


def test_a_model_loaded_twice(model, monkeypatch):
    only_engines(monkeypatch)
    first = model.load()
    model.check(first)
    second = model.load()
    model.check(second)
    del second
    gc.collect()
    model.check(first)


def test_the_copy_that_was_loaded_last_may_be_deleted(model, tmp_path, monkeypatch):
    only_engines(monkeypatch)
    first, copy = model.load(), model.copy(tmp_path / "copy")
    copy.check(copy.load())
    for file in copy.engines():
        file.unlink()
    model.check(first)
    model.check(model.load())


def test_a_model_that_was_moved(model, tmp_path, monkeypatch):
    only_engines(monkeypatch)
    copy = model.copy(tmp_path / "copy")
    os.rename(tmp_path / "copy", tmp_path / "elsewhere")
    copy.folder = tmp_path / "elsewhere"
    copy.check(copy.load())


@pytest.mark.parametrize("how", ["eagerly", "in a session", "overwritten"])
def test_a_model_may_be_deleted_as_soon_as_it_is_loaded(model, other_model, how, tmp_path, monkeypatch):
    copy = model.copy(tmp_path / "copy")
    session = tf.compat.v1.Session(graph=tf.Graph())
    if how == "in a session":
        with session.graph.as_default():
            signature = tf.compat.v1.saved_model.load(session, ["serve"], str(copy.folder)).signature_def["serving_default"]
        (source,), (result,) = signature.inputs.values(), signature.outputs.values()
        call = lambda x: session.run(result.name, {source.name: x})
    else:
        call = copy.load()
    shutil.rmtree(copy.folder)
    if how == "overwritten":
        shutil.copytree(other_model.folder, copy.folder)
        call.other = Model(copy.folder, other_model.x, other_model.y)
        call.other.check(call.other.load())
    only_engines(monkeypatch)
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "true")
    gc.collect()
    model.check(call)
    session.close()


def test_a_loaded_model_saved_again(model, tmp_path, monkeypatch):
    only_engines(monkeypatch)
    call = model.load()
    model.check(call)
    for name, signatures in [("given", {"serving_default": call.signature}), ("kept", None)]:
        if signatures is None:
            save_again(call, tmp_path / name)
        else:
            tf.saved_model.save(call.loaded, str(tmp_path / name), signatures=signatures)
        again = tf.saved_model.load(str(tmp_path / name)).signatures["serving_default"]
        (argument,) = again.structured_input_signature[1]
        np.testing.assert_allclose(next(iter(again(**{argument: tf.constant(model.x)}).values())), model.y, rtol=1e-4, atol=1e-5)


def functions():
    """What TensorFlow's eager context holds of engines."""
    gc.collect()
    return [name for name in context.context().list_function_names() if "native_segment" in name]


def save_again(call, folder):
    """Saves a loaded model as a module of tf.Module's kind, with an object graph."""
    module = tf.Module()
    module.call, module.model = call.signature, call.loaded
    signature = tf.function(call, input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32)])
    tf.saved_model.save(module, str(folder), signatures=signature)
    return folder


@pytest.mark.parametrize("again", [False, True])
def test_native_segments_go_with_their_model(model, again, tmp_path):
    folder = save_again(model.load(), tmp_path / "again") if again else model.folder
    before = functions()
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]
    concrete = tf.function(lambda x: next(iter(signature(x).values()))).get_concrete_function(tf.TensorSpec((None, 16, 16, 3), tf.float32))
    del loaded, signature
    assert len(functions()) > len(before)
    assert not tf.compat.v1.get_default_graph()._functions
    np.testing.assert_allclose(concrete(tf.constant(model.x)), model.y, rtol=1e-4, atol=1e-5)
    del concrete
    assert functions() == before


def test_a_function_outlives_the_model_that_it_calls(model, monkeypatch):
    """Also where an engine could not be built without the native segment, and on another thread."""
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "true")
    call = model.load()
    concrete = tf.function(call).get_concrete_function(tf.TensorSpec((None, 16, 16, 3), tf.float32))
    data = tf.data.Dataset.from_tensor_slices(model.x).batch(4).map(call, num_parallel_calls=2)
    del call
    gc.collect()
    np.testing.assert_allclose(concrete(tf.constant(model.x)), model.y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(next(iter(data)), model.y, rtol=1e-4, atol=1e-5)


def resident_bytes():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(load, first, cycles):
    """Bytes that the cycles after the `first` add. TensorFlow's graphs go when Python looks for garbage, so that is done often."""
    for cycle in range(first + cycles):
        if cycle == first:
            start = resident_bytes()
        load()
        if cycle % 10 == 9:
            gc.collect()
    return resident_bytes() - start


def in_session(model, folder):
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
        session.run(next(iter(signature.outputs.values())).name, {next(iter(signature.inputs.values())).name: model.x})


def eagerly(model, folder):
    Model(folder, model.x, model.y).load()(model.x)


LOADS = {"in a session": in_session, "eagerly": eagerly}


@pytest.mark.parametrize("how", LOADS)
def test_loading_and_unloading_keeps_nothing_of_the_engine(model, how):
    assert growth(lambda: LOADS[how](model, model.folder), 30, 40) < 2_000_000


@pytest.mark.full
@pytest.mark.parametrize("how", [*LOADS, "eagerly, saved again"])
def test_a_thousand_loads_and_unloads_do_not_grow_memory(model, how, tmp_path):
    folder = save_again(model.load(), tmp_path / "again") if "again" in how else model.folder
    load = LOADS[how.split(",")[0]]
    files, threads, mappings = [len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task", "map_files")]
    assert growth(lambda: load(model, folder), 100, 900) < 4_000_000
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    assert len(os.listdir("/proc/self/task")) <= threads + 4
    assert len(os.listdir("/proc/self/map_files")) <= mappings + 50


@pytest.mark.full
def test_a_hundred_conversions_do_not_grow_memory(model, tmp_path):
    from tenon import trt_convert as trt

    def convert():
        convert.count = getattr(convert, "count", 0) + 1
        converter = trt.TrtGraphConverterV2(input_saved_model_dir=str(model.folder.parent / "source"), use_dynamic_shape=convert.count % 2 == 0)
        converter.options.quiet = True
        function = converter.convert()
        converter.build(lambda: iter([(model.x,)]))
        np.testing.assert_allclose(next(iter(function(tf.constant(model.x)).values())), model.y, rtol=1e-4, atol=1e-5)
        converter.save(str(tmp_path / "out"))
        eagerly(model, tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
    assert growth(convert, 30, 100) < 6_000_000
