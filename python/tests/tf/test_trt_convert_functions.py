"""Converted functions and saved models wherever TensorFlow takes functions and models, with structure, tables and state."""
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import plugin_models
from plugin_models import signature
from trt_models import converter
from tenon import trt_convert as trt

ROWS = 6


class Case:
    """A real model of two inputs: the original's folder, the converted function, the folder it is saved in, feeds and answers."""

    def __init__(self, source, folder):
        generator = np.random.default_rng(3)
        self.feeds = {"input_1": generator.random((ROWS, 32), np.float32), "input_2": generator.random((ROWS, 128), np.float32)}
        self.wanted = signature(source)(**{name: tf.constant(value) for name, value in self.feeds.items()})["dense_6"].numpy()
        self.folder = folder / "saved"
        made = converter(source)
        self.function = made.convert()
        made.build(lambda: iter([self.feeds]))
        made.save(self.folder)

    def check(self, found):
        np.testing.assert_allclose(np.asarray(found), self.wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return Case(plugin_models.need_shared("infero_mimo/mimo_model_tf"), tmp_path_factory.mktemp("mimo"))


def in_a_tf_function(function, feeds):
    return tf.function(lambda x: function(**x)["dense_6"])(feeds)


def in_a_data_set_of_dictionaries(function, feeds):
    rows = tf.data.Dataset.from_tensor_slices(feeds).batch(4).map(lambda row: function(**row), num_parallel_calls=2)
    return np.concatenate([row["dense_6"] for row in rows])


def in_a_data_set_of_tuples(function, feeds):
    rows = tf.data.Dataset.from_tensor_slices((feeds["input_1"], feeds["input_2"])).batch(3).map(function)
    return np.concatenate([row["dense_6"] for row in rows])


def in_a_keras_layer(function, feeds):
    class Layer(tf.keras.layers.Layer):
        def call(self, inputs):
            return function(**inputs)["dense_6"]
    inputs = {name: tf.keras.Input(value.shape[1:], name=name) for name, value in feeds.items()}
    return tf.keras.Model(inputs, Layer()(inputs)).predict(feeds, batch_size=4, verbose=0)


def in_another_module(function, feeds):
    class Around(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 32]), tf.TensorSpec([None, 128])])
        def __call__(self, a, b):
            return function(a, b)["dense_6"] * 1
    return Around()(*feeds.values())


def in_several_threads(function, feeds):
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda i: function(*[value[i:i + 1] for value in feeds.values()])["dense_6"], range(ROWS)))
    return np.concatenate(rows)


USES = [in_a_tf_function, in_a_data_set_of_dictionaries, in_a_data_set_of_tuples, in_a_keras_layer, in_another_module,
        in_several_threads]


BY_NAME = [in_a_tf_function, in_a_data_set_of_dictionaries, in_a_keras_layer]  # loaded signatures take nothing else


@pytest.mark.parametrize("use, loaded", [(use, False) for use in USES] + [(use, True) for use in BY_NAME])
def test_a_function_works(case, use, loaded, monkeypatch):
    monkeypatch.setenv(plugin_models.ONLY_ENGINES, "False")
    case.check(use(signature(case.folder) if loaded else case.function, {name: tf.constant(value) for name, value in case.feeds.items()}))


def test_a_saved_model_works_in_tensorflow_1s_loader(case, monkeypatch):
    monkeypatch.setenv(plugin_models.ONLY_ENGINES, "False")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        entry = tf.compat.v1.saved_model.load(session, ["serve"], str(case.folder)).signature_def["serving_default"]
        case.check(session.run(entry.outputs["dense_6"].name, {entry.inputs[name].name: value for name, value in case.feeds.items()}))


@pytest.mark.full
def test_saved_model_cli_runs_a_saved_model(case, tmp_path):
    np.savez(tmp_path / "feeds.npz", **case.feeds)
    inputs = ";".join(f"{name}={tmp_path / 'feeds.npz'}[{name}]" for name in case.feeds)
    command = [sys.executable, "-m", "tenon.saved_model_cli", "run", "--dir", str(case.folder), "--tag_set", "serve",
               "--signature_def", "serving_default", "--inputs", inputs, "--outdir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), plugin_models.ONLY_ENGINES: "False"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-3000:]
    case.check(np.load(tmp_path / "dense_6.npy"))


# ---- structure ----------------------------------------------------------------------------------------------------------------


class Structured(tf.Module):
    """Nested inputs, listed outputs: TensorFlow flattens both in the signature."""

    @tf.function(input_signature=[{"left": tf.TensorSpec([None, 3], name="left"), "pair": [tf.TensorSpec([None, 3], name="first"),
                                                                                         tf.TensorSpec([None, 3], name="second")]}])
    def call(self, x):
        total = x["left"] + x["pair"][0] * 2 - x["pair"][1]
        return [tf.nn.relu(total), (tf.nn.tanh(total), total * 3)]

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def flat(self, x):
        first, (second, third) = self.call({"left": x, "pair": [x, x * 2]})
        return {"first": first, "second": second, "third": third}


def feeds_of(function, size):
    specs = function.structured_input_signature[1]
    return {name: tf.constant(np.random.default_rng(i).random((2, size), np.float32)) for i, name in enumerate(sorted(specs))}


def test_nested_structures_inside_a_model_are_nothing_special(tmp_path):
    module = Structured()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.flat)
    original, function = signature(tmp_path / "model"), converter(tmp_path / "model").convert()
    feeds = feeds_of(original, 3)
    for name, value in original(**feeds).items():
        np.testing.assert_allclose(function(**feeds)[name], value, atol=1e-6)


@pytest.mark.parametrize("build", [
    lambda layers: (lambda a, b: [layers.Dense(3)(layers.add([a, b])), layers.Dense(2)(layers.multiply([a, b]))]),
    lambda layers: (lambda a, b: {"sum": layers.Dense(3)(layers.add([a, b])), "product": layers.Dense(2)(layers.multiply([a, b]))}),
    lambda layers: (lambda a, b: layers.Dense(3)(layers.concatenate([a, b]))),
], ids=["list", "dictionary", "one"])
@pytest.mark.parametrize("form", ["list", pytest.param("dictionary", marks=pytest.mark.full)])
def test_keras_networks_keep_the_structure_of_their_signature(tmp_path, build, form):
    layers = tf.keras.layers
    a, b = tf.keras.Input([5], name="a"), tf.keras.Input([5], name="b")
    network = tf.keras.Model([a, b] if form == "list" else {"a": a, "b": b}, build(layers)(a, b))
    network.export(str(tmp_path / "model"), verbose=False)
    original = signature(tmp_path / "model")
    made = converter(tmp_path / "model")
    function = made.convert()
    assert function.structured_input_signature == original.structured_input_signature
    assert function.structured_outputs == original.structured_outputs
    feeds = feeds_of(original, 5)
    made.build(lambda: iter([feeds]))
    made.save(tmp_path / "saved")
    for call in (function, signature(tmp_path / "saved")):
        for name, value in original(**feeds).items():
            np.testing.assert_allclose(call(**feeds)[name], value, atol=1e-5)
    for value, other in zip(function(*[feeds[name] for name in sorted(feeds)]).values(), function(**feeds).values()):
        np.testing.assert_array_equal(value, other)


def test_scalars_and_several_outputs_of_a_stored_model(tmp_path):
    source = plugin_models.need_shared("tfjs_node_test_objects/model_multi_output")
    original, function = signature(source), converter(source, use_dynamic_shape=True).convert()
    feeds = {"x": tf.constant(4), "y": tf.constant(3)}
    for name, value in original(**feeds).items():
        np.testing.assert_array_equal(function(**feeds)[name], value)


# ---- what a function captures -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """Texts to classes: a vocabulary's table, an embedding, dense layers."""
    layers = tf.keras.layers
    tf.keras.utils.set_random_seed(1)
    words = layers.TextVectorization(output_sequence_length=6, vocabulary=["some", "words", "of", "a", "text"])
    text = tf.keras.Input([], dtype=tf.string, name="text")
    x = layers.Embedding(7, 8)(words(text))
    x = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling1D()(x))
    network = tf.keras.Model(text, layers.Dense(3, activation="softmax", name="classes")(x))
    folder = tmp_path_factory.mktemp("text") / "model"
    network.export(str(folder), verbose=False)
    texts = tf.constant(["some words", "a text of words", "unknown"])
    return folder, texts, network(texts).numpy()


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize("dynamic", [False, True])
def test_tables_and_variables_that_are_captured_work(text_model, tmp_path, freeze, dynamic, monkeypatch):
    folder, texts, wanted = text_model
    if not freeze:
        monkeypatch.setenv("TF_TRT_EXPERIMENTAL_FEATURES", "disable_graph_freezing")
    made = converter(folder, use_dynamic_shape=dynamic)
    function = made.convert()
    made.build(lambda: iter([texts]))
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "variables").exists() == (not made.freeze)
    [(name, _)] = function.structured_outputs.items()
    rows = tf.data.Dataset.from_tensor_slices(texts).batch(2).map(function)
    for found in (function(texts)[name], tf.function(lambda x: function(x)[name])(texts), np.concatenate([row[name] for row in rows]),
                  next(iter(signature(tmp_path / "saved")(tf.constant(texts)).values()))):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_saved_model_with_a_table_works_as_a_keras_layer(text_model, tmp_path):
    folder, texts, wanted = text_model
    made = converter(folder)
    made.convert()
    made.save(tmp_path / "saved")
    layer = tf.keras.layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serving_default")
    text = tf.keras.Input([], dtype=tf.string)
    found = tf.keras.Model(text, layer(text)).predict(texts, verbose=0)
    np.testing.assert_allclose(next(iter(found.values())), wanted, atol=1e-5)


class Counter(tf.Module):
    """A weight that is only read and a count that every call adds to."""

    def __init__(self):
        super().__init__()
        self.weight, self.count = tf.Variable(tf.ones([3, 2])), tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x")])
    def call(self, x):
        count = self.count.assign_add(1.0)
        return {"y": tf.nn.relu(x @ self.weight) * 2 + 1, "count": count}


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_variable_that_is_assigned_stays_a_variable_and_the_others_become_constants(tmp_path, dynamic):
    module = Counter()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    made = converter(tmp_path / "model", use_dynamic_shape=dynamic)
    function = made.convert()
    made.build(lambda: iter([tf.ones([2, 3])]))
    counts = [float(function(tf.ones([2, 3]))["count"]) for _ in range(2)]
    assert counts[1] == counts[0] + 1
    made.save(tmp_path / "saved")
    loaded = signature(tmp_path / "saved")
    results = [loaded(x=tf.ones([2, 3])) for _ in range(3)]
    assert [float(result["count"]) for result in results] == [1, 2, 3]
    np.testing.assert_array_equal(results[0]["y"], np.full((2, 2), 7))
    [engine] = made._model.engines
    assert "resource" not in engine["input_types"]


class Loop(tf.Module):
    """A loop whose body reads a variable, with ops in it that stay native."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.linspace(0.0, 0.5, 9))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x"), tf.TensorSpec([], tf.int32, name="steps")])
    def call(self, x, steps):
        def body(i, y):
            tf.debugging.assert_less(i, 100)
            return i + 1, tf.nn.tanh(y @ tf.reshape(self.weight, [3, 3])) + x
        return {"y": tf.while_loop(lambda i, y: i < steps, body, [tf.constant(0), x])[1] * 2}


@pytest.mark.parametrize("dynamic", [False, True])
def test_variables_that_loops_read_work(tmp_path, dynamic):
    module = Loop()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    made = converter(tmp_path / "model", use_dynamic_shape=dynamic)
    feeds = {"x": tf.ones([2, 3]), "steps": tf.constant(4)}
    wanted = signature(tmp_path / "model")(**feeds)["y"]
    np.testing.assert_allclose(made.convert()(**feeds)["y"], wanted, rtol=1e-5)
    made.save(tmp_path / "saved")
    np.testing.assert_allclose(signature(tmp_path / "saved")(**feeds)["y"], wanted, rtol=1e-5)


def test_v1_gives_a_graph_of_constants_where_loops_read_variables(tmp_path):
    module = Loop()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.call)
    from tensorflow.python.saved_model import loader_impl
    [meta_graph] = loader_impl.parse_saved_model(str(tmp_path / "model")).meta_graphs
    entry = meta_graph.signature_def["serving_default"]
    with tf.Graph().as_default():
        made = trt.TrtGraphConverter(input_saved_model_dir=str(tmp_path / "model"), minimum_segment_size=2, is_dynamic_op=True)
        made.options.quiet = True
        graph = made.convert()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.graph_util.import_graph_def(graph, name="")
        found = session.run(entry.outputs["y"].name, {entry.inputs["x"].name: np.ones((2, 3)), entry.inputs["steps"].name: 4})
    wanted = signature(tmp_path / "model")(x=tf.ones([2, 3]), steps=tf.constant(4))["y"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


# ---- several inputs of unknown batch ------------------------------------------------------------------------------------------


def transformer():
    """Words, a mask and types of segments to classes, as BERT has them."""
    layers = tf.keras.layers
    words, mask, types = inputs = [tf.keras.Input([None], dtype="int32", name=f"input_{name}") for name in ("word_ids", "mask", "type_ids")]
    x = layers.LayerNormalization()(layers.add([layers.Embedding(50, 16)(words), layers.Embedding(2, 16)(types)]))
    attended = layers.MultiHeadAttention(2, 8)(x, x, attention_mask=layers.Lambda(lambda m: tf.cast(m[:, None, :], tf.bool))(mask))
    x = layers.LayerNormalization()(layers.add([x, attended]))
    x = layers.LayerNormalization()(layers.add([x, layers.Dense(16)(layers.Dense(32, activation="gelu")(x))]))
    return tf.keras.Model(inputs, layers.Dense(2)(x[:, 0]))


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_transformer_of_three_inputs_is_one_engine(tmp_path, dynamic, monkeypatch):
    network = transformer()
    network.export(str(tmp_path / "model"), verbose=False)
    made = converter(tmp_path / "model", use_dynamic_shape=dynamic)
    function = made.convert()
    assert len(made._model.engines) == 1
    generator = np.random.default_rng(5)
    feeds = {"input_word_ids": generator.integers(0, 50, (4, 7)), "input_mask": generator.integers(0, 2, (4, 7)) | np.eye(1, 7, dtype=int),
             "input_type_ids": generator.integers(0, 2, (4, 7))}
    feeds = {name: value.astype(np.int32) for name, value in feeds.items()}
    made.build(lambda: iter([feeds]))
    made.save(tmp_path / "saved")
    monkeypatch.setenv(plugin_models.ONLY_ENGINES, "False")
    wanted = network([feeds[name] for name in ("input_word_ids", "input_mask", "input_type_ids")])
    for call in (function, signature(tmp_path / "saved")):
        [found] = call(**{name: tf.constant(value) for name, value in feeds.items()}).values()
        np.testing.assert_allclose(found, wanted, atol=1e-5)
