"""Real models end to end, native and converted, against TensorFlow on the same inputs; the models lie beside the project."""
import glob
import os
import wave

import numpy as np
import pytest

import tenon

MODELS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared", "models")
pytestmark = pytest.mark.skipif(not os.path.isdir(MODELS), reason="../shared/models is not there")
reference = pytest.importorskip("reference", reason="needs tensorflow-cpu")

# Changing state: compared separately.
STATEFUL = {"incr_counter", "incr_counter_by", "reset_counter"}
# TensorFlow 2.21 cannot load these itself: a GPU's engine op, a checkpoint that does not fit its graph.
UNLOADABLE = ("tftrt_2.0", "gpu_trt")


def saved_models():
    paths = sorted(os.path.dirname(p) for p in glob.glob(MODELS + "/**/saved_model.pb*", recursive=True))
    return [os.path.relpath(p, MODELS) for p in paths]


def serialized_example():
    tf = reference.tf
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(3.0)
    example.features.feature["x2"].float_list.value.append(2.0)
    return example.SerializeToString()


def feeds_for(specs):
    feeds = {spec.name: reference.made_up(spec) for spec in specs}
    for spec in specs:
        if spec.dtype == object:
            feeds[spec.name] = np.array([serialized_example()] * 2, dtype=object)
    return feeds


def assert_close(found, expected, tolerance=1e-4):
    expected = np.asarray(expected, dtype=object) if isinstance(expected, (bytes, str)) else np.asarray(expected)
    found = np.asarray(found)
    assert found.shape == expected.shape
    if expected.dtype.kind in "OSUb":
        assert (found == expected).all()
        return
    scale = max(float(np.abs(expected.astype(np.float64)).max()), 1e-6) if expected.size else 1.0
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=tolerance * scale)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """path -> converted path, every engine kept."""
    made = {}

    def get(path):
        if path not in made:
            made[path] = str(tmp_path_factory.mktemp("converted") / "model")
            tenon.convert(path, made[path], minimum_segment_size=1, min_gain=0.0)
        return made[path]
    return get


@pytest.mark.parametrize("name", saved_models())
def test_signatures_match_tensorflow(name, converted):
    path = os.path.join(MODELS, name)
    session = tenon.Session(path)
    keys = [key for key in session.signature_keys if key not in STATEFUL]
    if not session.signature_keys:
        assert "SimpleV1Model" in name or "CyclicModule" in name or "OptimizerSlotVariableModule" in name
        return
    engines = tenon.Session(converted(path))
    assert engines.signature_keys == session.signature_keys
    for key in keys:
        feeds = feeds_for(session.signature_inputs(key))
        if any(part in name for part in UNLOADABLE):
            session.run(feeds, key)
            engines.run(feeds, key)
            continue
        try:
            expected = reference.run_saved_model(path, feeds, key)
        except Exception:  # TensorFlow refuses the made-up feeds: so must Tenon
            for model in (session, engines):
                with pytest.raises(tenon.Error):
                    model.run(feeds, key)
            continue
        for model in (session, engines):
            found = model.run(feeds, key)
            assert sorted(found) == sorted(expected)
            for output, value in expected.items():
                assert_close(found[output], value)


def test_counter_keeps_one_state_for_all_signatures():
    session = tenon.Session(os.path.join(MODELS, "serving_testdata/saved_model_counter/00000123"))
    value = lambda key, **feeds: float(next(iter(session.run(feeds, key).values())))
    assert value("reset_counter") == 0
    assert value("incr_counter") == 1
    assert value("incr_counter_by", delta=np.float32(4)) == 5
    assert value("get_counter") == 5
    fresh = tenon.Session(os.path.join(MODELS, "serving_testdata/saved_model_counter/00000123"))
    assert float(next(iter(fresh.run({}, "get_counter").values()))) == 0


def test_old_tftrt_model_runs_from_its_native_segment_and_from_a_new_engine():
    path = os.path.join(MODELS, "tftrt_2.0/tftrt_2.0_saved_model")
    ones = {"input1": np.ones((4, 1, 1), np.float32), "input2": np.ones((4, 1, 1), np.float32)}
    native = tenon.Session(path, native=True)
    assert (native.run(ones)["output_0"] == 5.0).all()
    session = tenon.Session(path)
    assert (session.run(ones)["output_0"] == 5.0).all()
    assert [(e.loaded, e.rebuilt) for e in session.engines] == [(True, True)] and session.engines[0].calls == 1


def test_old_tftrt_model_is_converted_again(tmp_path):
    path = os.path.join(MODELS, "tftrt_2.0/tftrt_2.0_saved_model")
    tenon.convert(path, str(tmp_path / "again"), min_gain=0)
    session = tenon.Session(str(tmp_path / "again"))
    ones = {"input1": np.ones((4, 1, 1), np.float32), "input2": np.ones((4, 1, 1), np.float32)}
    assert (session.run(ones)["output_0"] == 5.0).all()
    assert [(e.loaded, e.rebuilt, e.calls) for e in session.engines] == [(True, False, 1)]


def test_infero_mimo():
    path = os.path.join(MODELS, "infero_mimo/mimo_model_tf")
    session = tenon.Session(path)
    feeds = {spec.name: np.ones([1 if s is None else s for s in spec.shape], np.float32) for spec in session.inputs}
    assert abs(float(session.run(feeds)["dense_6"].ravel()[0]) - 5112.6704) < 0.01


OVERLAP = 30  # frames that two windows share, half of them cut from each


def recording_as_windows(path, length=43844):
    """The model's input: mono at 22,050 Hz, zeros for half an overlap in front, windows that share 30 frames of 256 samples."""
    soxr = pytest.importorskip("soxr")
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        samples = soxr.resample(samples, file.getframerate(), 22050, "HQ").astype(np.float32)
    shared = OVERLAP * 256
    padded = np.concatenate([np.zeros(shared // 2, np.float32), samples])
    starts = range(0, len(padded), length - shared)
    windows = [np.pad(padded[s:s + length], (0, max(0, s + length - len(padded)))) for s in starts]
    return np.stack(windows)[..., None]


@pytest.mark.parametrize("native", [True, False])
def test_basic_pitch_on_a_recording(native, converted):
    root = os.path.join(MODELS, "basic_pitch")
    windows = recording_as_windows(os.path.join(root, "io", "vocadito_10.wav"))
    path = os.path.join(root, "nmp")
    session = tenon.Session(path if native else converted(path))
    found = session.run({session.inputs[0].name: windows})
    assert sorted(found) == ["contour", "note", "onset"]
    for output, values in found.items():
        kept = values[:, OVERLAP // 2: -(OVERLAP // 2)].reshape(-1, values.shape[2])
        expected = np.load(os.path.join(root, "io", output + ".npy"))
        np.testing.assert_allclose(kept[: len(expected)], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["sr_espcn/ESPCN_x2.pb", "sr_espcn/ESPCN_x3.pb", "sr_espcn/ESPCN_x4.pb"])
def test_frozen_super_resolution(name):
    path = os.path.join(MODELS, name)
    session = tenon.Session(path)
    image = np.random.default_rng(1).random((1, 24, 20, 1), np.float32)
    feeds = {session.inputs[0].name: image}
    found = session.run(feeds)
    expected = reference.run_graph(path, feeds, list(found))
    for output in expected:
        assert_close(found[output], expected[output])


def test_frozen_detector():
    path = os.path.join(MODELS, "face_mask_ssd/face_mask_detection.pb")
    session = tenon.Session(path)
    image = np.random.default_rng(1).random((1, 260, 260, 3), np.float32)
    feeds = {session.inputs[0].name: image}
    found = session.run(feeds)
    expected = reference.run_graph(path, feeds, list(found))
    for output in expected:
        assert_close(found[output], expected[output])


def test_models_without_signature_are_listed_and_run_by_tensor_names():
    path = os.path.join(MODELS, "tf_savedmodel_testdata/SimpleV1Model")
    session = tenon.Session(path)
    assert session.signature_keys == []
    with pytest.raises(tenon.NotFound):
        session.run({})
