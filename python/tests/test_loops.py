"""Loops of unknown length and branches: engines in their functions, against TensorFlow."""
import filecmp
import json
import os

import numpy as np
import pytest

import tenon
from tenon_cli import tenon_command

tf = pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")
keras = pytest.importorskip("keras")
L = keras.layers
FEATURES, UNITS = 16, 24
STEPS = {"fixed": 12, "unknown": None}


def sequences(batch, steps):
    return np.random.RandomState(batch * 100 + steps).randn(batch, steps, FEATURES).astype(np.float32)


def words(batch, steps):
    ids = np.random.RandomState(batch + steps).randint(1, 20, (batch, steps)).astype(np.float32)
    for row in range(batch):
        ids[row, steps - 1 - row % 3:] = 0
    return ids


def cell(kind, **options):
    return {"lstm": L.LSTM, "gru": L.GRU, "simple": L.SimpleRNN}[kind](UNITS, **options)


def classifier(kind, form):
    if form == "masked":
        front = [L.Input((None,)), L.Embedding(20, FEATURES, mask_zero=True)]
    else:
        front = [L.Input((STEPS.get(form), FEATURES))]
    if form == "bidirectional":
        layers = [L.Bidirectional(cell(kind))]
    elif form == "backwards":
        layers = [cell(kind, go_backwards=True)]
    else:
        layers = [cell(kind, return_sequences=True, stateful=False), cell(kind)]
    return keras.Sequential(front + layers + [L.Dense(5, activation="softmax")])


NETWORKS = [(kind, form) for kind in ("lstm", "gru") for form in ("fixed", "unknown", "masked", "bidirectional", "backwards")]
NETWORKS.append(("simple", "unknown"))


def message_of(path):
    from tensorflow.core.protobuf import saved_model_pb2
    message = saved_model_pb2.SavedModel()
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        message.ParseFromString(file.read())
    return message


def without_engines(path, folder):
    """A copy in which every engine's node calls its native segment: TensorFlow can run it."""
    import shutil
    shutil.copytree(path, folder)
    message = message_of(path)
    graph = message.meta_graphs[0].graph_def
    for nodes in [graph.node] + [f.node_def for f in graph.library.function]:
        for node in nodes:
            for i, name in enumerate(node.input):
                node.input[i] = name.replace(":out_tensor:", ":output:")
            if node.op == "TRTEngineOp":
                in_types, out_types, function = node.attr["InT"], node.attr["OutT"], node.attr["segment_func"]
                attributes = {"Tin": in_types, "Tout": out_types, "f": function}
                for name in list(node.attr):
                    del node.attr[name]
                node.op = "StatefulPartitionedCall"
                for name, value in attributes.items():
                    node.attr[name].CopyFrom(value)
                continue
            if node.op in ("CreateTRTResourceHandle", "InitializeTRTResource"):
                node.op = "NoOp"
                kept = [i for i in node.input if i.startswith("^")]
                del node.input[:]
                node.input.extend(kept)
                for name in list(node.attr):
                    del node.attr[name]
    for function in graph.library.function:
        for name, value in list(function.ret.items()):
            function.ret[name] = value.replace(":out_tensor:", ":output:")
    with open(os.path.join(folder, "saved_model.pb"), "wb") as file:
        file.write(message.SerializeToString())
    return folder


def assert_close(found, expected):
    assert sorted(found) == sorted(expected)
    for name, want in expected.items():
        assert np.shape(found[name]) == want.shape
        np.testing.assert_allclose(found[name], want.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def run_in_tensorflow(signature, feeds):
    return signature(**{key: tf.constant(value) for key, value in feeds.items()})


def share(report):
    return report["engine_flops"] / report["total_flops"]


def saved(model, path):
    model.export(path, verbose=False)
    return tf.saved_model.load(path).signatures["serving_default"]


@pytest.mark.parametrize("kind,form", NETWORKS, ids=["-".join(n) for n in NETWORKS])
def test_recurrent_classifiers_run_in_engines(kind, form, tmp_path):
    keras.utils.set_random_seed(3)
    path, converted = str(tmp_path / "model"), str(tmp_path / "converted")
    signature = saved(classifier(kind, form), path)
    report = tenon.convert(path, converted, min_gain=0.0)
    assert share(report) >= 0.99
    key = next(iter(signature.structured_input_signature[1]))
    session, native = tenon.Session(converted), tenon.Session(converted, native=True)
    in_tensorflow = tf.saved_model.load(without_engines(converted, str(tmp_path / "native"))).signatures["serving_default"]
    for batch, steps in [(1, 12), (5, 12)] + ([] if form == "fixed" else [(2, 7), (3, 1)]):
        feeds = {key: words(batch, steps) if form == "masked" else sequences(batch, steps)}
        expected = run_in_tensorflow(signature, feeds)
        assert_close(session.run(feeds), expected)
        assert_close(native.run(feeds), expected)
        assert_close({k: v.numpy() for k, v in run_in_tensorflow(in_tensorflow, feeds).items()}, expected)
    assert all(e.loaded and e.native_calls == 0 for e in session.engines)
    assert {e.name for e in session.engines if e.calls} <= {e["name"] for e in report["engines"]}


class Loops(tf.Module):
    def __init__(self):
        rng = np.random.RandomState(7)
        self.w = tf.Variable(rng.randn(FEATURES, FEATURES).astype(np.float32) * 0.1)
        self.v = tf.Variable(rng.randn(FEATURES, FEATURES).astype(np.float32) * 0.1)
        self.constant = tf.constant(rng.randn(FEATURES, FEATURES).astype(np.float32) * 0.1)
        self.b = tf.Variable(tf.fill([FEATURES], 0.1))
        self.counter = tf.Variable(0.0)

    def plain(self, x, n):
        return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.tanh(tf.matmul(y, self.w) @ self.constant + self.b)), (0, x))[1]

    def nested(self, x, n):
        inner = lambda y: tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.tanh(y @ self.w + self.b)), (0, y))[1]
        body = lambda i, y: (i + 1, 0.8 * tf.nn.relu(inner(y) @ self.constant + y))
        return tf.while_loop(lambda i, y: tf.reduce_sum(y * y) > 0.05, body, (0, x), maximum_iterations=6)[1]

    def branches(self, x, n):
        def body(i, y):
            even = lambda: tf.tanh(y @ self.w + self.b)
            return i + 1, tf.cond(tf.equal(i % 2, 0), even, lambda: tf.sigmoid(y @ self.constant - self.b))
        y = tf.while_loop(lambda i, y: i < n, body, (0, x))[1]
        return tf.switch_case(n % 3, [lambda: tf.tanh(y @ self.w + self.b), lambda: tf.nn.relu(y @ self.constant + self.b), lambda: y])

    def growing(self, x, n):
        """Its state changes its shape: what holds in the first round does not later."""
        body = lambda i, y: (i + 1, tf.tanh(tf.concat([y, y[:1]], 0) @ self.w + self.b))
        return tf.while_loop(lambda i, y: i < n, body, (0, x), shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, FEATURES])))[1]

    def changing_weight(self, x, n):
        """What looks like a weight is none: the body changes it."""
        body = lambda i, y, w: (i + 1, tf.tanh(y @ w + self.b), w * 0.9)
        return tf.while_loop(lambda i, y, w: i < n, body, (0, x, self.constant))[1]

    def swapped_weights(self, x, n):
        body = lambda i, y, w, v: (i + 1, tf.tanh(y @ w + self.b), v, w)
        return tf.while_loop(lambda i, y, w, v: i < n, body, (0, x, self.w, self.v))[1]

    def assigned(self, x, n):
        """A variable that a call changes is no constant."""
        self.counter.assign_add(1.0)
        return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.tanh((y @ self.w + self.b) * self.counter)), (0, x))[1]


LOOPS = ["plain", "nested", "branches", "growing", "changing_weight", "swapped_weights", "assigned"]
SPECS = [tf.TensorSpec([None, FEATURES], tf.float32, name="x"), tf.TensorSpec([], tf.int32, name="n")]


def as_signature(function):
    return lambda x, n: {"y": function(x, n)}


def save_loops(path, names):
    module = Loops()
    signatures = {}
    for name in names:
        function = getattr(module, name)
        signatures[name] = tf.function(as_signature(function), input_signature=SPECS)
        setattr(module, name + "_function", signatures[name])
    tf.saved_model.save(module, path, signatures=signatures)
    return tf.saved_model.load(path).signatures


@pytest.mark.parametrize("name", LOOPS)
def test_custom_loops(name, tmp_path):
    path, converted = str(tmp_path / "model"), str(tmp_path / "converted")
    signature = save_loops(path, [name])[name]
    report = tenon.convert(path, converted, min_gain=0.0)
    session = tenon.Session(converted)
    in_tensorflow = tf.saved_model.load(without_engines(converted, str(tmp_path / "native"))).signatures[name]
    for batch, n in ((1, 4), (5, 7), (2, 0), (3, 1)):
        feeds = {"x": np.random.RandomState(batch).randn(batch, FEATURES).astype(np.float32), "n": np.int32(n)}
        expected = run_in_tensorflow(signature, feeds)
        assert_close(session.run(feeds), expected)
        assert_close({k: v.numpy() for k, v in run_in_tensorflow(in_tensorflow, feeds).items()}, expected)
    assert share(report) >= 0.9
    if name != "growing":  # an engine that holds a whole loop leaves one whose state grows to its native segment
        assert all(e.native_calls == 0 for e in session.engines)


@pytest.fixture(scope="module")
def unknown_length(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lstm")
    keras.utils.set_random_seed(3)
    model = keras.Sequential([L.Input((None, FEATURES)), L.LSTM(256), L.Dense(5)])
    signature = saved(model, str(folder / "model"))
    return folder, next(iter(signature.structured_input_signature[1]))


def folder_size(path):
    return sum(os.path.getsize(os.path.join(root, file)) for root, _, files in os.walk(path) for file in files)


def test_weights_of_loops_are_stored_once(unknown_length, tmp_path):
    folder, _ = unknown_length
    tenon.convert(str(folder / "model"), str(tmp_path / "converted"))
    assert folder_size(tmp_path / "converted") <= 2.1 * folder_size(folder / "model")
    functions = message_of(str(tmp_path / "converted")).meta_graphs[0].graph_def.library.function
    constants = [n for f in functions for n in f.node_def if n.op == "Const"]
    assert max(len(n.attr["value"].tensor.tensor_content) for n in constants) < 1024


def test_a_rebuild_with_a_timing_cache_gives_the_same_bytes(unknown_length, tmp_path):
    folder, _ = unknown_length
    for name in ("a", "b"):
        tenon.convert(str(folder / "model"), str(tmp_path / name), timing_cache=tmp_path / "times")
    files = [os.path.relpath(os.path.join(root, f), tmp_path / "a") for root, _, fs in os.walk(tmp_path / "a") for f in fs]
    same, different, missing = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)
    assert len(same) == len(files) and not different and not missing


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    """A loop in a loop: engines are in the functions."""
    folder = tmp_path_factory.mktemp("nested")
    save_loops(str(folder / "model"), ["nested"])
    report = tenon.convert(str(folder / "model"), str(folder / "converted"), min_gain=0.0, verify=True)
    assert all(v["max_abs_error"] <= 1e-4 * v["scale"] for v in report["verification"])
    nodes = [n for f in message_of(folder / "converted").meta_graphs[0].graph_def.library.function for n in f.node_def]
    assert any(n.op == "TRTEngineOp" for n in nodes)
    return folder


def nested_feeds():
    return {"x": np.random.RandomState(1).randn(2, FEATURES).astype(np.float32), "n": np.int32(3)}


def test_an_engine_in_a_body_is_built_again_at_open(nested, tmp_path):
    import shutil
    converted = str(tmp_path / "converted")
    shutil.copytree(nested / "converted", converted)
    expected = tenon.Session(str(nested / "model")).run(nested_feeds())
    for name in os.listdir(os.path.join(converted, "assets")):
        os.truncate(os.path.join(converted, "assets", name), 100)
    session = tenon.Session(converted)
    found = session.run(nested_feeds())
    assert all(e.rebuilt and e.native_calls == 0 for e in session.engines)
    for name, want in expected.items():
        np.testing.assert_allclose(found[name], want, rtol=1e-4, atol=1e-5)


def test_profile_shows_the_layers_inside_a_loop(nested, tmp_path):
    for name, value in nested_feeds().items():
        np.save(tmp_path / f"{name}.npy", value)
    inputs = [f"{name}={tmp_path / name}.npy" for name in ("x", "n")]
    done = tenon_command("bench", nested / "converted", "--inputs", *inputs, "--iterations", 1, "--profile", "--json")
    layers = json.loads(done.stdout)["profile"]["layers"]
    assert any(layer["engine"] and layer["kernel"].startswith("matmul") for layer in layers)
    assert any(layer["kernel"] == "reference" and "while" in layer["node"] for layer in layers)


def test_compare_runs_engines_in_bodies(nested, tmp_path):
    np.save(tmp_path / "n.npy", np.int32(3))
    done = tenon_command("compare", nested / "model", nested / "converted", "--inputs", f"n={tmp_path / 'n.npy'}")
    assert done.returncode == 0, done.stdout + done.stderr
