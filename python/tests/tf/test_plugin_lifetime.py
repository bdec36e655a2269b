"""Models side by side, again and again, and gone: whose engine answers, and what stays behind."""
import gc
import os

import numpy as np
import tensorflow as tf
from plugin_models import Model, only_engines


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


def test_a_loaded_model_saved_again(model, tmp_path, monkeypatch):
    only_engines(monkeypatch)
    call = model.load()
    model.check(call)
    for name, signatures in [("given", {"serving_default": call.signature}), ("kept", None)]:
        if signatures is None:
            module = tf.Module()
            module.call = call.signature
            module.model = call.loaded
            signatures = tf.function(call, input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32)])
            tf.saved_model.save(module, str(tmp_path / name), signatures=signatures)
        else:
            tf.saved_model.save(call.loaded, str(tmp_path / name), signatures=signatures)
        again = tf.saved_model.load(str(tmp_path / name)).signatures["serving_default"]
        (argument,) = again.structured_input_signature[1]
        np.testing.assert_allclose(next(iter(again(**{argument: tf.constant(model.x)}).values())), model.y, rtol=1e-4, atol=1e-5)


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(folder, load, cycles):
    """Bytes per cycle, after some that fill caches."""
    for cycle in range(cycles + cycles // 2):
        if cycle == cycles // 2:
            gc.collect()
            start = resident_bytes()
        load(folder)
        if cycle % 10 == 0:
            gc.collect()
    gc.collect()
    return (resident_bytes() - start) / cycles


def test_loading_and_unloading_keeps_nothing_of_the_engine(model):
    """Beyond what TensorFlow itself keeps of a model without engines, which is some hundred KB for each load."""
    def in_session(folder):
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
            signature = meta_graph.signature_def["serving_default"]
            session.run(next(iter(signature.outputs.values())).name, {next(iter(signature.inputs.values())).name: model.x})
    cycles = int(os.environ.get("TENON_LOAD_CYCLES", "40"))
    source = model.folder.parent / "source"
    assert growth(model.folder, in_session, cycles) < growth(source, in_session, cycles) + 100_000
    def eagerly(folder):
        Model(folder, model.x, model.y).load()(model.x)
    assert growth(model.folder, eagerly, cycles) < growth(source, eagerly, cycles) + 100_000
