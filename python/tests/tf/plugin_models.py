"""Models for the tests of the plug-in, made once per run, and small helpers. Needs TensorFlow."""
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tenon
import tenon.tensorflow

SHARED_MODELS = pathlib.Path(__file__).resolve().parents[4] / "shared" / "models"
ONLY_ENGINES = "TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION"


class Model:
    """A converted model, what goes in and what has to come out."""

    def __init__(self, folder, x, y):
        self.folder, self.x, self.y = folder, x, y

    def copy(self, folder):
        shutil.copytree(self.folder, folder)
        return Model(folder, self.x, self.y)

    def load(self):
        """The signature as a function from an array or tensor to a tensor; `loaded` is what tf.saved_model.load returned."""
        loaded = tf.saved_model.load(str(self.folder))
        signature = loaded.signatures["serving_default"]
        def call(x):
            return next(iter(signature(tf.constant(x) if isinstance(x, np.ndarray) else x).values()))
        call.loaded, call.signature = loaded, signature
        return call

    def check(self, call, rtol=1e-4):
        np.testing.assert_allclose(np.asarray(call(self.x)), self.y, rtol=rtol, atol=rtol * np.abs(self.y).max())

    def engines(self):
        """The files of stored engines."""
        return sorted((pathlib.Path(self.folder) / "assets").glob("trt-serialized-engine.*"))


def frozen(function, *specs):
    """A concrete function whose variables are constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    return convert_variables_to_constants_v2(tf.function(function).get_concrete_function(*specs))


def save_frozen(folder, function, *specs):
    """A SavedModel without variables of a function that returns one tensor."""
    concrete = frozen(function, *specs)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(concrete.graph.as_graph_def(), name="")
        inputs = {f"x{i}" if i else "x": graph.get_tensor_by_name(tensor.name) for i, tensor in enumerate(concrete.inputs)}
        outputs = {"y": graph.get_tensor_by_name(concrete.outputs[0].name)}
        tf.compat.v1.saved_model.simple_save(session, str(folder), inputs, outputs)
    return folder


def conv_net(seed):
    tf.keras.utils.set_random_seed(seed)
    layers = tf.keras.layers
    return tf.keras.Sequential([layers.Input((16, 16, 3)), layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(8, 3, activation="relu"),
                                layers.GlobalAveragePooling2D(), layers.Dense(5)])


def convert(source, out, **more):
    tenon.convert(str(source), str(out), **{"min_gain": 0, **more})
    return out


def make_model(folder, seed=1, freeze=True):
    """A small convolutional net, converted; all of it is one engine."""
    net = conv_net(seed)
    x = np.random.default_rng(seed).random((4, 16, 16, 3), dtype=np.float32)
    source = folder / "source"
    if freeze:
        save_frozen(source, net, tf.TensorSpec((None, 16, 16, 3), tf.float32))
    else:
        net.export(str(source), verbose=False)
    return Model(convert(source, folder / "converted"), x, net(x).numpy())


def only_engines(monkeypatch, on=True):
    """From here on a right answer proves an engine."""
    monkeypatch.setenv(ONLY_ENGINES, "false" if on else "true")


def run_python(code, *arguments, timeout=300, **environment):
    """Runs a program in a fresh interpreter; its output, after it succeeded."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "0", **environment}
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def need_shared(path):
    folder = SHARED_MODELS / path
    if not folder.exists():
        pytest.skip(f"{path} is not in ../shared/models")
    return folder


def told(text):
    """What Tenon said to TensorFlow's log."""
    return [line for line in text.splitlines() if "Tenon:" in line]


def signature(folder):
    """The default signature of a saved model; it keeps the model."""
    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]
    function.kept = loaded
    return function
