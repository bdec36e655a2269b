"""The programs of examples/cpp/tftrt_inference on converted models, and ConvertAndBuild on a Keras net: both answer as TensorFlow
does before. scripts/test_tensorflow_cpp.sh builds the programs and runs these tests."""
import glob
import os
import subprocess

import numpy as np
import pytest

from test_round_trips import MODELS, TOLERANCES, assert_close, needs_models, shared_models, signatures
from yardstick import nets
from yardstick.worker import NATIVE

FOLDER = os.environ.get("TENON_CPP_PROGRAMS", "")
pytestmark = [pytest.mark.full, pytest.mark.skipif(not FOLDER, reason="scripts/test_tensorflow_cpp.sh builds the programs")]
KINDS = ["tensorflow", "tenon"]
REFUSED = {NATIVE: "False"}


def start(kind, *flags, variables=None):
    """Runs a program to its end."""
    command = [os.path.join(FOLDER, kind, "tftrt_inference"), *flags]
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="1", **(variables or {}))
    return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=300, check=False)


def plugin():
    (path,) = glob.glob(os.path.join(FOLDER, "prefix", "lib*", "libtenon_tf.so"))
    return f"--plugin={path}"


def file_name(key):
    return key.replace("/", "_").replace(":", "_") + ".npy"


def outputs_of(kind, path, feeds, folder, *flags, variables=None):
    """What a program writes for these inputs."""
    given, written = folder / "inputs", folder / kind
    given.mkdir(exist_ok=True)
    for key, value in feeds.items():
        np.save(given / file_name(key), np.asarray(value, order="C"))
    done = start(kind, f"--model_path={path}", f"--input_dir={given}", f"--output_dir={written}", "--iterations=2", *flags,
                 variables=variables)
    assert done.returncode == 0, done.stderr
    assert "throughput: " in done.stdout and "latency [ms]: " in done.stdout
    return {file[:-len(".npy")]: np.load(written / file) for file in os.listdir(written)}


def converted_flags(kind):
    return [plugin()] if kind == "tensorflow" else []


@pytest.mark.parametrize("name", [*nets.SMALL, *(name for name in nets.WHOLE if name != "ResNet50")])
def test_keras_net(name, tensorflow_worker, plain_worker, tmp_path):
    model = tensorflow_worker.run("net", name, str(tmp_path))
    saved = plain_worker.run("convert", model["path"], model["feeds"], str(tmp_path))["path"]
    for kind in KINDS:
        found = outputs_of(kind, saved, model["feeds"][0], tmp_path, *converted_flags(kind),
                           variables=REFUSED if name in nets.WHOLE else None)
        assert_close(found, model["expected"][0], kind, TOLERANCES.get(name, 1e-4))


@pytest.fixture(scope="module")
def resnet(tensorflow_worker, tmp_path_factory):
    return tensorflow_worker.run("net", "ResNet50", str(tmp_path_factory.mktemp("resnet")))


@pytest.fixture(scope="module")
def converted_resnet(resnet, plain_worker, tmp_path_factory):
    return plain_worker.run("convert", resnet["path"], resnet["feeds"], str(tmp_path_factory.mktemp("converted")))["path"]


@pytest.mark.parametrize("kind", KINDS)
def test_resnet50_before_conversion(kind, resnet, tmp_path):
    assert_close(outputs_of(kind, resnet["path"], resnet["feeds"][0], tmp_path), resnet["expected"][0], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_resnet50_converted(kind, resnet, converted_resnet, tmp_path):
    found = outputs_of(kind, converted_resnet, resnet["feeds"][0], tmp_path, *converted_flags(kind), variables=REFUSED)
    assert_close(found, resnet["expected"][0], kind)


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_inputs_have_the_sizes_of_the_flags(kind, converted_resnet):
    done = start(kind, f"--model_path={converted_resnet}", "--batch_size=2", "--iterations=1", *converted_flags(kind))
    assert done.returncode == 0, done.stderr
    assert "[2,224,224,3]" in done.stdout and "batch 2)" in done.stdout


def convert_and_build(path, engines):
    """The test of ConvertAndBuild on this model, whose result must have at least so many engines."""
    done = subprocess.run([os.path.join(FOLDER, "tensorflow_test"), "--gtest_filter=*LoadedSavedModel"], capture_output=True,
                          env=dict(os.environ, TENON_TEST_SAVED_MODEL=path, TENON_TEST_ENGINES=str(engines)), text=True,
                          errors="replace", timeout=300, check=False)
    assert done.returncode == 0 and "1 test " in done.stdout, done.stdout + done.stderr


def test_convert_and_build_of_resnet50(resnet):
    convert_and_build(resnet["path"], 1)


@needs_models
def test_convert_and_build_with_a_table_of_an_asset():
    convert_and_build(os.path.abspath(os.path.join(MODELS, "tf_savedmodel_testdata", "StaticHashTableModule")), 0)


def numeric(feeds):
    return all(value.dtype.kind in "biufc" for value in feeds.values())


@needs_models
@pytest.mark.parametrize("name", shared_models())
def test_shared_model(name, tensorflow_worker, plain_worker, tmp_path):
    path = os.path.abspath(os.path.join(MODELS, name))
    compared = 0
    for key, feeds in signatures(path, b""):
        expected = tensorflow_worker.run("reference", path, feeds, key) if numeric(feeds) else None
        if not expected:  # nothing to fetch is an error to TensorFlow's sessions
            continue
        folder = tmp_path / str(compared)
        folder.mkdir()
        saved = plain_worker.run("convert", path, [feeds], str(folder), named=True, input_saved_model_signature_key=key)["path"]
        for kind in KINDS:
            found = outputs_of(kind, saved, feeds, folder, f"--signature_key={key}", *converted_flags(kind))
            assert_close(found, {file_name(k)[:-len(".npy")]: v for k, v in expected.items()}, (key, kind))
        if key == "serving_default":
            convert_and_build(path, 0)
        compared += 1
    if not compared:
        pytest.skip("no signature with numbers that TensorFlow runs twice alike")


@pytest.mark.parametrize("kind", KINDS)
def test_model_whose_variables_tensorflow_restores_only_in_python(kind, plain_worker, tmp_path):
    digits = os.path.join(os.path.dirname(__file__), "..", "..", "..", "examples", "digits")
    feeds = {"image": np.load(os.path.join(digits, "images.npy"))[:4].reshape(4, 8, 8, 1).astype(np.float32)}
    path = os.path.join(digits, "model")
    saved = plain_worker.run("convert", path, [feeds], str(tmp_path), named=True)["path"]
    expected = plain_worker.run("session", path, [feeds])["outputs"][0]
    assert_close(outputs_of(kind, saved, feeds, tmp_path, *converted_flags(kind)), expected, kind)


@needs_models
@pytest.mark.parametrize("kind", KINDS)
def test_model_of_the_real_tftrt(kind, tmp_path):
    path = os.path.abspath(os.path.join(MODELS, "tftrt_2.0", "tftrt_2.0_saved_model"))
    feeds = {name: np.ones((4, 1, 1), np.float32) for name in ("input1", "input2")}
    for foreign in ("0", "1"):
        found = outputs_of(kind, path, feeds, tmp_path, *converted_flags(kind), variables={"TENON_BUILD_FOREIGN_ENGINES": foreign})
        assert (found["output_0"] == 5.0).all()


@pytest.mark.parametrize("flags, code, words", [
    ([], 2, "--model_path is missing"),
    (["--model_path=x", "--frobnicate=1"], 2, "unknown argument --frobnicate=1"),
    (["--model_path=x", "--batch_size=many"], 2, "batch_size"),
    (["--model_path=x", "--batch_size=0"], 2, "--batch_size must be"),
    (["--model_path=x", "--iterations=0"], 2, "--iterations must be"),
    (["--model_path=/nowhere"], 1, "/nowhere"),
    (["--model_path=MODEL", "--signature_key=nobody"], 1, "serving_default"),
    (["--model_path=MODEL", "--input_dir=/nowhere"], 1, "/nowhere/"),
])
@pytest.mark.parametrize("kind", KINDS)
def test_bad_flags_give_a_message_and_an_exit_code(kind, flags, code, words, converted_resnet):
    flags = [flag.replace("MODEL", converted_resnet) for flag in flags]
    done = start(kind, *flags, *converted_flags(kind))
    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_a_missing_plug_in_is_named(converted_resnet):
    done = start("tensorflow", f"--model_path={converted_resnet}")
    assert done.returncode == 1 and "--plugin" in done.stderr
    done = start("tensorflow", f"--model_path={converted_resnet}", "--plugin=/nowhere/libtenon_tf.so")
    assert done.returncode == 1 and "/nowhere/libtenon_tf.so" in done.stderr
