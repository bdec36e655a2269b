"""Whole models: TensorFlow before = converted in TensorFlow = saved and loaded in TensorFlow = Tenon alone."""
import glob
import os

import numpy as np
import pytest

import tenon
from yardstick import nets
from yardstick.worker import NATIVE, as_arrays

MODELS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "..", "shared", "models")
needs_models = pytest.mark.skipif(not os.path.isdir(MODELS), reason="../shared/models is not there")
# Converted by the real TF-TRT: TensorFlow cannot load these without Tenon's plug-in.
CONVERTED = {"tftrt_2.0", "gpu_trt"}
# Signatures that change the model's state, of which conversion makes a snapshot.
STATEFUL = {"incr_counter", "incr_counter_by", "reset_counter"}
# Where TensorFlow rounds after every op, and engines need not.
TOLERANCES = {"float16": 5e-3, "bfloat16": 5e-2}
MODES = {"implicit": {}, "dynamic": {"use_dynamic_shape": True}}


def shared_models():
    paths = sorted({os.path.dirname(p) for p in glob.glob(MODELS + "/**/saved_model.pb*", recursive=True)})
    names = [os.path.relpath(p, MODELS) for p in paths]
    return [name for name in names if not any(part in name for part in CONVERTED)]


def made_up(spec, example):
    """A batch of two for an input; texts are serialized examples, which some models parse."""
    rng = np.random.default_rng(5)
    unknown = (None,) if spec.dtype == object else (None, 1)
    shape = [2 if size is None else size for size in (unknown if spec.shape is None else spec.shape)]
    if spec.dtype == object:
        return np.full(shape, example, dtype=object)
    if spec.dtype == bool:
        return rng.random(shape) < 0.5
    if np.issubdtype(spec.dtype, np.integer):
        return rng.integers(0, 5, shape).astype(spec.dtype)
    return rng.standard_normal(shape).astype(spec.dtype)


def assert_close(found, expected, stage, tolerance=1e-4):
    """Exact for what is no float; else within the tolerance of the largest value of each output."""
    found, expected = as_arrays(found), as_arrays(expected)
    assert sorted(found) == sorted(expected), stage
    for name, value in expected.items():
        assert found[name].shape == value.shape, (stage, name)
        if value.dtype.kind in "OSUbiu":
            assert (found[name] == value).all(), (stage, name)
            continue
        scale = max(float(np.abs(value.astype(np.float64)).max()), 1e-6) if value.size else 1.0
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance * scale, err_msg=f"{stage}: {name}")


def compare_stages(answer, expected, tolerance=1e-4):
    for stage, outputs in answer["stages"].items():
        for found, value in zip(outputs, expected):
            assert_close(found, value, stage, tolerance)


def signatures(path, example):
    """(key, feeds) of every signature whose call leaves the model as it was."""
    session = tenon.Session(path)
    return [(key, {spec.name: made_up(spec, example) for spec in session.signature_inputs(key)})
            for key in session.signature_keys if key not in STATEFUL]


@needs_models
@pytest.mark.parametrize("world,mode", [
    ("tensorflow", "implicit"), ("plain", "dynamic"), pytest.param("tensorflow", "dynamic", marks=pytest.mark.full),
    pytest.param("plain", "implicit", marks=pytest.mark.full)])
@pytest.mark.parametrize("name", shared_models())
def test_shared_model(name, world, mode, tensorflow_worker, plain_worker, tmp_path):
    path = os.path.abspath(os.path.join(MODELS, name))
    if world == "tensorflow" and not tensorflow_worker.run("loads", path):
        pytest.skip("the loader of TensorFlow 2 refuses the model itself")
    worker = tensorflow_worker if world == "tensorflow" else plain_worker
    compared = 0
    for key, feeds in signatures(path, tensorflow_worker.run("example", x=3.0, x2=2.0)):
        expected = tensorflow_worker.run("reference", path, feeds, key)
        if expected is None:
            continue
        folder = tmp_path / str(compared)
        folder.mkdir()
        answer = worker.run("convert", path, [feeds], str(folder), named=True, input_saved_model_signature_key=key,
                            **MODES[mode])
        compare_stages(answer, [expected])
        alone = plain_worker.run("session", answer["path"], [feeds], key)
        assert_close(alone["outputs"][0], expected, "Tenon alone")
        compared += 1
    if not compared:
        pytest.skip("no signature that TensorFlow runs twice alike")


@needs_models
def test_model_of_the_real_tftrt_runs_on_its_native_segment_and_converts_again(tensorflow_worker, plain_worker, tmp_path):
    path = os.path.abspath(os.path.join(MODELS, "tftrt_2.0", "tftrt_2.0_saved_model"))
    feeds = {name: np.ones((4, 1, 1), np.float32) for name in ("input1", "input2")}
    for number, worker in enumerate((tensorflow_worker, plain_worker)):
        folder = tmp_path / str(number)
        folder.mkdir()
        answer = worker.run("convert", path, [feeds], str(folder), named=True, minimum_segment_size=1)
        for stage, outputs in answer["stages"].items():
            assert (outputs[0]["output_0"] == 5.0).all(), stage
        alone = plain_worker.run("session", answer["path"], [feeds])
        assert (alone["outputs"][0]["output_0"] == 5.0).all()


def net_round_trip(name, mode, tensorflow_worker, plain_worker, folder):
    """Native execution is refused throughout, so that engines answer."""
    model = tensorflow_worker.run("net", name, str(folder))
    refused = {NATIVE: "False"}
    answer = tensorflow_worker.run("convert", model["path"], model["feeds"], str(folder), variables=refused, **MODES[mode])
    tolerance = TOLERANCES.get(name, 1e-4)
    compare_stages(answer, model["expected"], tolerance)
    alone = plain_worker.run("session", answer["path"], model["feeds"], variables=refused)
    for found, value in zip(alone["outputs"], model["expected"]):
        assert_close(found, value, "Tenon alone", tolerance)
    return tensorflow_worker.run("engines", answer["path"]), alone


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", nets.SMALL)
def test_small_net(name, mode, tensorflow_worker, plain_worker, tmp_path):
    engines, alone = net_round_trip(name, mode, tensorflow_worker, plain_worker, tmp_path)
    assert len(engines) == 1
    idle = [engine for engine in alone["engines"] if engine["calls"] == 0 or engine["native_calls"] > 0]
    assert not idle


@pytest.mark.full
@pytest.mark.parametrize("name", nets.WHOLE)
def test_whole_net(name, tensorflow_worker, plain_worker, tmp_path):
    engines, _ = net_round_trip(name, "implicit", tensorflow_worker, plain_worker, tmp_path)
    assert len(engines) == 1
