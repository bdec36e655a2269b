"""What freezing does to variables, in TensorFlow's world and without it: the trained model of examples/digits has some."""
import numpy as np
import pytest

import tenon
import wire
from tenon import trt_convert as trt
from tenon_cli import DIGITS
from trt_world import graph_mode, world  # noqa: F401  (a fixture)

IMAGES = np.load(DIGITS / "images.npy")[:6].astype(np.float32).reshape(6, 8, 8, 1)
VARIABLES = {"VarHandleOp", "ReadVariableOp", "SaveV2", "RestoreV2"}


def converter(freeze=True, **arguments):
    made = trt.TrtGraphConverterV2(input_saved_model_dir=str(DIGITS / "model"), use_dynamic_shape=not freeze, **arguments)
    made.options.quiet = True
    assert made.freeze == freeze
    return made


def graph_bytes(path):
    """The GraphDef of the only meta graph of a SavedModel."""
    [graph] = wire.contents((path / "saved_model.pb").read_bytes(), 2, 2)
    return graph


def op_types(graph):
    nodes = set(wire.contents(graph, 1, 2))
    functions = set(wire.contents(graph, 2, 1, 3, 2))
    return {name.decode() for name in nodes | functions}


@pytest.fixture(scope="module")
def expected():
    return tenon.Session(DIGITS / "model").run({"image": IMAGES})


def same(result, expected):
    assert set(result) == set(expected)
    np.testing.assert_allclose(result["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(np.asarray(result["name"]), expected["name"])


def test_a_frozen_model_has_constants_and_no_checkpoint(world, tmp_path, expected):
    made = converter()
    function = made.convert()
    same(function(world.tensor(IMAGES)), expected)
    made.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "variables").exists()
    assert not VARIABLES & op_types(graph_bytes(tmp_path / "saved"))
    session = tenon.Session(tmp_path / "saved")
    same(session.run({"image": IMAGES}), expected)
    assert [(engine.calls, engine.native_calls) for engine in session.engines] == [(1, 0)] * len(session.engines)


def test_variables_stay_variables_where_freezing_is_switched_off(world, tmp_path, expected, monkeypatch):
    monkeypatch.setenv("TF_TRT_EXPERIMENTAL_FEATURES", "disable_graph_freezing")
    made = converter(freeze=False)
    function = made.convert()
    same(function(world.tensor(IMAGES)), expected)
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "variables" / "variables.index").exists()
    assert "VarHandleOp" in op_types(graph_bytes(tmp_path / "saved"))
    session = tenon.Session(tmp_path / "saved")
    same(session.run({"image": IMAGES}), expected)


def test_freezing_can_be_switched_off_at_the_converter(world, tmp_path, expected):
    made = trt.TrtGraphConverterV2(str(DIGITS / "model"), use_dynamic_shape=True)
    made.options.quiet, made.freeze = True, False
    same(made.convert()(world.tensor(IMAGES)), expected)
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "variables").is_dir()


def test_what_is_larger_than_the_limit_stays_a_variable_and_is_noted(world, tmp_path, expected):
    made = converter()
    made.options.freeze_limit = 1
    same(made.convert()(world.tensor(IMAGES)), expected)
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "variables").is_dir()
    assert [note for note in made.report.notes if "freeze_limit" in note]


def test_a_frozen_model_can_be_converted_again(world, tmp_path, expected):
    made = converter()
    made.convert()
    made.save(tmp_path / "once")
    again = trt.TrtGraphConverterV2(str(tmp_path / "once"))
    again.options.quiet = True
    same(again.convert()(world.tensor(IMAGES)), expected)


def tensor_names():
    """{key: tensor name} of the inputs, and of the outputs, of the original's serving_default."""
    [signature] = [entry for entry in wire.contents((DIGITS / "model" / "saved_model.pb").read_bytes(), 2, 5)
                   if wire.contents(entry, 1) == [b"serving_default"]]
    return [{wire.contents(entry, 1)[0].decode(): wire.contents(entry, 2, 1)[0].decode() for entry in wire.contents(signature, 2, number)}
            for number in (1, 2)]


@pytest.mark.parametrize("dynamic", [True, False])
def test_v1_gives_a_graph_that_needs_nothing_else(world, tmp_path, expected, dynamic):
    with graph_mode(world):
        made = trt.TrtGraphConverter(input_saved_model_dir=str(DIGITS / "model"), is_dynamic_op=dynamic,
                                     max_batch_size=None if dynamic else 6)
        made.options.quiet = True
        graph = made.convert()
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    assert not VARIABLES & op_types(content)
    inputs, outputs = tensor_names()
    path = tmp_path / "graph.pb"
    path.write_bytes(content)
    found = tenon.Session(path, inputs=list(inputs.values()), outputs=list(outputs.values())).run({inputs["image"]: IMAGES})
    same({key: found[name] for key, name in outputs.items()}, expected)
    if world.name == "tensorflow":
        same(run_in_a_session(graph, inputs, outputs), expected)


def run_in_a_session(graph, inputs, outputs):
    import tensorflow as tf
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.graph_util.import_graph_def(graph, name="")
        return session.run(outputs, {inputs["image"]: IMAGES})
