"""tenon.trt_convert inside TensorFlow: ConcreteFunctions, what TensorFlow makes of saved models, and its save options."""
import gc
import os
import weakref

import numpy as np
import pytest
import tensorflow as tf

from tenon import trt_convert as trt
from tenon.trt_convert import notices


class Model(tf.Module):
    """Two inputs, a variable, and a table of words."""

    def __init__(self, table=None):
        super().__init__()
        self.weight = tf.Variable(tf.reshape(tf.linspace(-1.0, 1.0, 32), [8, 4]))
        words = tf.lookup.KeyValueTensorInitializer(tf.range(4, dtype=tf.int64), tf.constant(["a", "b", "c", "d"]))
        self.table = table or tf.lookup.StaticHashTable(words, "?")

    @tf.function(input_signature=[tf.TensorSpec([None, 8], name="second"), tf.TensorSpec([None, 8], name="first")])
    def predict(self, second, first):
        scores = tf.nn.relu(second @ self.weight) + tf.nn.tanh(first @ self.weight) * 2
        return {"scores": scores, "word": self.table.lookup(tf.argmax(scores, -1))}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("original") / "model")
    tf.saved_model.save(Model(), folder)
    return folder


@pytest.fixture
def feeds():
    generator = np.random.default_rng(1)
    return {name: generator.standard_normal((5, 8)).astype(np.float32) for name in ("first", "second")}


def signature(folder):
    loaded = tf.saved_model.load(folder)
    function = loaded.signatures["serving_default"]
    function.kept = loaded
    return function


def same(result, wanted):
    assert set(result) == set(wanted)
    np.testing.assert_allclose(result["scores"], wanted["scores"], atol=1e-5)
    np.testing.assert_array_equal(np.asarray(result["word"]), np.asarray(wanted["word"]))


def converter(folder, **arguments):
    made = trt.TrtGraphConverterV2(input_saved_model_dir=folder, **{"minimum_segment_size": 2, **arguments})
    made.options.quiet = True
    return made


def build(made, feeds):
    made.build(lambda: iter([feeds]))


def tensors(feeds):
    return {name: tf.constant(value) for name, value in feeds.items()}


# ---- the function -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"use_dynamic_shape": True}])
def test_the_result_is_a_concrete_function_with_the_originals_structure(saved, feeds, arguments):
    original = signature(saved)
    function = converter(saved, **arguments).convert()
    assert isinstance(function, tf.types.experimental.ConcreteFunction)
    assert function.structured_input_signature == original.structured_input_signature
    assert function.structured_outputs == original.structured_outputs
    flat = original.structured_input_signature[1]
    assert [tensor.name for tensor in original.inputs][:len(flat)] == [name + ":0" for name in sorted(flat)]
    wanted = original(**tensors(feeds))
    same(function(**tensors(feeds)), wanted)
    same(function(*[feeds[name] for name in sorted(feeds)]), wanted)


def test_the_function_runs_in_a_tf_function_in_a_data_set_and_in_a_keras_layer(saved, feeds):
    function = converter(saved).convert()
    wanted = signature(saved)(**tensors(feeds))
    same(tf.function(lambda first, second: function(first, second))(feeds["first"], feeds["second"]), wanted)
    rows = tf.data.Dataset.from_tensor_slices((feeds["first"], feeds["second"])).batch(2).map(function)
    np.testing.assert_allclose(np.concatenate([row["scores"] for row in rows]), wanted["scores"], atol=1e-5)

    class Layer(tf.keras.layers.Layer):
        def call(self, first, second):
            return function(first=first, second=second)["scores"]
    first, second = tf.keras.Input([8]), tf.keras.Input([8])
    network = tf.keras.Model([first, second], Layer()(first, second))
    np.testing.assert_allclose(network.predict([feeds["first"], feeds["second"]], verbose=0), wanted["scores"], atol=1e-5)


def test_a_vocabulary_file_is_there_as_long_as_the_function(tmp_path, feeds):
    path = tmp_path / "words.txt"
    path.write_text("k\nl\nm\nn\n")
    table = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(
        str(path), tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE), "?")
    tf.saved_model.save(Model(table), str(tmp_path / "model"))
    wanted = signature(str(tmp_path / "model"))(**tensors(feeds))
    path.unlink()
    made = converter(str(tmp_path / "model"))
    function = made.convert()
    folder = function._tenon_kept[1].path
    del made
    gc.collect()
    assert os.path.isdir(folder)
    same(function(**feeds), wanted)
    alive = weakref.ref(function)
    del function
    gc.collect()
    assert alive() is None and not os.path.exists(folder)


def test_two_conversions_with_engines_of_the_same_names_do_not_meet(saved, tmp_path, feeds):
    other = Model()
    other.weight.assign(other.weight * -1)
    tf.saved_model.save(other, str(tmp_path / "other"))
    functions = [converter(folder).convert() for folder in (saved, str(tmp_path / "other"))]
    for function, folder in zip(functions, (saved, str(tmp_path / "other"))):
        same(function(**feeds), signature(folder)(**tensors(feeds)))


def test_variables_may_stay_variables(saved, feeds, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_TRT_EXPERIMENTAL_FEATURES", "disable_graph_freezing")
    made = converter(saved, use_dynamic_shape=True, dynamic_shape_profile_strategy="Optimal", precision_mode="FP16")
    assert not made.freeze
    function = made.convert()
    build(made, feeds)
    wanted = signature(saved)(**tensors(feeds))
    same(function(**feeds), wanted)
    made.save(str(tmp_path / "saved"))
    same(signature(str(tmp_path / "saved"))(**tensors(feeds)), wanted)


def test_graph_mode_is_refused_by_v2():
    with tf.Graph().as_default(), pytest.raises(AssertionError):
        trt.TrtGraphConverterV2(input_saved_model_dir="nowhere")


@pytest.mark.parametrize("device", ["/CPU:0", None])
def test_models_are_converted_for_the_cpu_wherever_it_is_asked_for(saved, feeds, device):
    with tf.device(device):
        function = converter(saved).convert()
    same(function(**feeds), signature(saved)(**tensors(feeds)))


def test_a_gpu_that_is_asked_for_is_told(saved, caplog, monkeypatch):
    from tenon.trt_convert import world_tensorflow
    notices.forget()
    monkeypatch.setattr(world_tensorflow, "requested_device", lambda: "/device:GPU:2")
    converter(saved).convert()
    assert any("/device:GPU:2" in record.message for record in caplog.records)


def test_build_takes_what_violates_the_signature_as_far_as_tensorflow_does(tmp_path):
    class Strict(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 1, 1], name="x")])
        def run(self, x):
            return {"y": x * 2 + 1}
    tf.saved_model.save(Strict(), str(tmp_path / "model"))
    made = converter(str(tmp_path / "model"))
    made.convert()
    made.build(lambda: iter([tf.ones([4, 2, 1]), tf.ones([4, 4, 1])]))


# ---- what is saved ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"use_dynamic_shape": True}])
@pytest.mark.parametrize("before", [False, True])
def test_the_saved_model_gives_what_the_original_gives(saved, feeds, tmp_path, arguments, before):
    made = converter(saved, **arguments)
    made.convert()
    if not before:
        build(made, feeds)
    made.save(str(tmp_path / "saved"))
    wanted = signature(saved)(**tensors(feeds))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert list(loaded.signatures) == ["serving_default"]
    same(loaded.signatures["serving_default"](**tensors(feeds)), wanted)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "saved"))
        entry = graph.signature_def["serving_default"]
        fetched = session.run({name: info.name for name, info in entry.outputs.items()},
                              {entry.inputs[name].name: value for name, value in feeds.items()})
        same(fetched, wanted)


SIGNATURES = {
    "no input": (lambda: {"y": tf.constant([[1.0, 2.0]]) * 2}, []),
    "one input, one output": (lambda x: {"y": x * 2 + 1}, [tf.TensorSpec([None, 3], name="x")]),
    "one input, two outputs": (lambda x: {"y": x * 2, "z": x + 1}, [tf.TensorSpec([None, 3], name="x")]),
    "two inputs, one output": (lambda b, a: {"y": a * 2 + b}, [tf.TensorSpec([None, 3], name="b"), tf.TensorSpec([None, 3], name="a")]),
    "two inputs, two outputs": (lambda b, a: {"y": a * 2 + b, "z": a}, [tf.TensorSpec([2, 3], name="b"), tf.TensorSpec([2, 3], name="a")]),
}


def signature_def(folder):
    from tensorflow.python.saved_model import loader_impl
    [meta_graph] = loader_impl.parse_saved_model(folder).meta_graphs
    return meta_graph.signature_def["serving_default"]


@pytest.mark.parametrize("case", SIGNATURES)
def test_the_signature_is_kept_to_the_letter(tmp_path, case):
    function, specs = SIGNATURES[case]
    module = tf.Module()
    module.function = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.function)
    made = converter(str(tmp_path / "model"), minimum_segment_size=1)
    converted = made.convert()
    made.save(str(tmp_path / "saved"))
    original = signature(str(tmp_path / "model"))
    assert signature_def(str(tmp_path / "saved")) == signature_def(str(tmp_path / "model"))
    assert converted.structured_input_signature == original.structured_input_signature
    assert converted.structured_outputs == original.structured_outputs
    again = signature(str(tmp_path / "saved"))
    assert again.structured_input_signature == original.structured_input_signature
    assert {name: (tensor.shape.as_list(), tensor.dtype) for name, tensor in again.structured_outputs.items()} == {
        name: (spec.shape.as_list(), spec.dtype) for name, spec in original.structured_outputs.items()}


def test_save_options_are_honoured(saved, tmp_path, caplog):
    made = converter(saved)
    made.convert()
    made.save(str(tmp_path / "saved"), options=tf.saved_model.SaveOptions(save_debug_info=True, extra_tags=["gpu"],
                                                                        experimental_debug_stripper=True))
    assert (tmp_path / "saved" / "debug" / "saved_model_debug_info.pb").stat().st_size > 0
    assert list(tf.saved_model.load(str(tmp_path / "saved"), tags=["serve", "gpu"]).signatures) == ["serving_default"]
    assert any("experimental_debug_stripper" in record.message for record in caplog.records)


def test_save_options_need_tensorflow(saved, tmp_path, monkeypatch):
    import sys
    options = tf.saved_model.SaveOptions()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    made = converter(saved)
    made.convert()
    with pytest.raises(ValueError, match="options"):
        made.save(str(tmp_path / "saved"), options=options)
    assert not (tmp_path / "saved").exists()


def test_a_saved_model_can_be_converted_again(saved, feeds, tmp_path):
    made = converter(saved)
    made.convert()
    build(made, feeds)
    made.save(str(tmp_path / "once"))
    again = converter(str(tmp_path / "once"))
    function = again.convert()
    same(function(**feeds), signature(saved)(**tensors(feeds)))
    build(again, feeds)
    again.save(str(tmp_path / "twice"))
    same(signature(str(tmp_path / "twice"))(**tensors(feeds)), signature(saved)(**tensors(feeds)))


def test_engines_that_must_not_be_built_refuse_as_the_environment_says(feeds, tmp_path, monkeypatch):
    tf.saved_model.save(Model(), str(tmp_path / "model"))  # one whose engines nobody else in this process has built
    made = converter(str(tmp_path / "model"), allow_build_at_runtime=False)
    made.convert()
    made.save(str(tmp_path / "unbuilt"))
    build(made, feeds)
    made.save(str(tmp_path / "built"))
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    signature(str(tmp_path / "built"))(**tensors(feeds))
    with pytest.raises(tf.errors.AbortedError, match="User disallowed engine native segment execution"):
        signature(str(tmp_path / "unbuilt"))(**tensors(feeds))


# ---- the guide's programs -----------------------------------------------------------------------------------------------------


def test_the_guides_int8_program(tmp_path, capsys):
    network = tf.keras.Sequential([tf.keras.Input([8, 8, 1]), tf.keras.layers.Conv2D(4, 3, activation="relu"), tf.keras.layers.Flatten(),
                                   tf.keras.layers.Dense(10, activation="softmax")])
    network.export(str(tmp_path / "model"), verbose=False)
    x_test = np.random.default_rng(1).random((128, 8, 8, 1), np.float32)
    made = trt.TrtGraphConverterV2(input_saved_model_dir=str(tmp_path / "model"), precision_mode=trt.TrtPrecisionMode.INT8,
                                   use_calibration=True)
    batch = 32

    def calibration_input_fn():
        for i in range(3):
            yield [x_test[i * batch:(i + 1) * batch, :]]
    func = made.convert(calibration_input_fn=calibration_input_fn)

    def input_fn():
        yield [x_test[0:128, :]]
    made.build(input_fn=input_fn)
    made.save(output_saved_model_dir=str(tmp_path / "saved"))
    made.summary()
    assert "TRTEngineOp_000_000" in capsys.readouterr().out
    for step in range(4):
        x = x_test[step * batch:(step + 1) * batch, :]
        [probabilities] = func(x).values()
        np.testing.assert_allclose(probabilities, network(x), atol=1e-5)
    layer = tf.keras.layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serving_default")
    [probabilities] = layer(x).values()
    np.testing.assert_allclose(probabilities, network(x), atol=1e-5)


# ---- TensorFlow 1 -------------------------------------------------------------------------------------------------------------


def test_eager_execution_is_refused_by_v1(saved):
    with pytest.raises(RuntimeError):
        trt.TrtGraphConverter(input_saved_model_dir=saved)


@pytest.mark.parametrize("dynamic", [True, False])
def test_variables_are_constants_in_the_graph_that_v1_returns(tmp_path, dynamic):
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([3, 2]))
    module.function = tf.function(lambda x: {"y": tf.nn.relu(x @ module.weight) * 2}, input_signature=[tf.TensorSpec([None, 3], name="x")])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.function)
    entry = signature_def(str(tmp_path / "model"))
    x = np.float32([[1, 2, 3]])
    with tf.Graph().as_default():
        made = trt.TrtGraphConverter(input_saved_model_dir=str(tmp_path / "model"), minimum_segment_size=2, is_dynamic_op=dynamic)
        made.options.quiet = True
        graph = made.convert()
        made.save(str(tmp_path / "saved"))
    assert any(node.op == "TRTEngineOp" for node in graph.node) and not any(node.op == "VarHandleOp" for node in graph.node)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        [y] = tf.graph_util.import_graph_def(graph, return_elements=[entry.outputs["y"].name], name="")
        np.testing.assert_array_equal(session.run(y, {entry.inputs["x"].name: x}), [[12, 12]])
    np.testing.assert_array_equal(signature(str(tmp_path / "saved"))(x=tf.constant(x))["y"], [[12, 12]])
