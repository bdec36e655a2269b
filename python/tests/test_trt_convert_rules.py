"""tenon.trt_convert, argument by argument and step by step: constructor, calibration, errors, what is written, which world is taken."""
import os
import subprocess
import sys

import numpy as np
import pytest

import tenon
import wire
from tenon import trt_convert as trt
from trt_models import converter, expected, model, vector  # noqa: F401  (a fixture)
from trt_world import world  # noqa: F401  (a fixture)


def messages(caplog, text):
    return [record.message for record in caplog.records if text in record.message]


# ---- parameters ---------------------------------------------------------------------------------------------------------------


def test_parameters_have_tf_trts_names_defaults_and_order():
    assert trt.DEFAULT_TRT_CONVERSION_PARAMS == trt.TrtConversionParams()
    assert trt.DEFAULT_TRT_CONVERSION_PARAMS._asdict() == {
        "max_workspace_size_bytes": trt.DEFAULT_TRT_MAX_WORKSPACE_SIZE_BYTES, "precision_mode": "FP32", "minimum_segment_size": 3,
        "maximum_cached_engines": 1, "use_calibration": True, "allow_build_at_runtime": True}
    assert trt.TrtPrecisionMode.supported_precision_modes() == ["FP32", "FP16", "INT8", "fp32", "fp16", "int8"]


@pytest.mark.parametrize("mode", trt.TrtPrecisionMode.supported_precision_modes())
def test_precisions_are_taken_in_upper_and_lower_case(world, vector, mode):
    converter(vector, precision_mode=mode, use_calibration=False).convert()


@pytest.mark.parametrize("mode", ["Fp16", "int4", "", None])
def test_other_precisions_are_refused_with_what_there_is(world, vector, mode):
    with pytest.raises(ValueError, match="'FP32', 'FP16', 'INT8', 'fp32', 'fp16', 'int8'"):
        converter(vector, precision_mode=mode)


def test_conversion_params_are_deprecated_once_and_win(world, vector, caplog):
    params = trt.DEFAULT_TRT_CONVERSION_PARAMS._replace(precision_mode="INT8", maximum_cached_engines=7, allow_build_at_runtime=False)
    for _ in range(2):
        made = converter(vector, conversion_params=params, precision_mode="FP16", maximum_cached_engines=2)
    assert made._conversion_params == params and made._need_calibration
    assert len(messages(caplog, "conversion_params is deprecated")) == 1


def test_single_arguments_are_not_deprecated(world, vector, caplog):
    made = converter(vector, maximum_cached_engines=3, max_workspace_size_bytes=1 << 20)
    assert made._conversion_params == trt.DEFAULT_TRT_CONVERSION_PARAMS._replace(
        minimum_segment_size=2, maximum_cached_engines=3, max_workspace_size_bytes=1 << 20)
    assert not messages(caplog, "deprecated")
    assert len(messages(caplog, "max_workspace_size_bytes")) == 1


def test_an_unknown_strategy_is_refused_with_the_four_that_exist(world, vector):
    with pytest.raises(ValueError) as raised:
        converter(vector, use_dynamic_shape=True, dynamic_shape_profile_strategy="Fastest")
    assert all(name in str(raised.value) for name in trt.supported_profile_strategies())


def test_a_strategy_without_dynamic_shapes_counts_for_nothing_and_is_told(world, vector, caplog):
    converter(vector, dynamic_shape_profile_strategy="Fastest").convert()
    assert messages(caplog, "no effect without use_dynamic_shape")


@pytest.mark.parametrize("spelling, warned", [
    ("ImplicitBatchModeCompatible", True), ("implicitbatchmodecompatible", False), ("Range", False)])
def test_the_strategy_of_implicit_batches_is_deprecated_in_its_exact_spelling(world, vector, caplog, spelling, warned):
    converter(vector, use_dynamic_shape=True, dynamic_shape_profile_strategy=spelling)
    assert bool(messages(caplog, "deprecated")) == warned


def test_the_constructor_reads_nothing(world, tmp_path):
    made = converter(tmp_path / "nowhere")
    with pytest.raises(Exception, match="nowhere"):
        made.convert()
    model(tmp_path / "nowhere", [-1, -1])  # an attempt that failed may be repeated
    made.convert()


def test_a_model_must_be_named(world):
    with pytest.raises(ValueError, match="input_saved_model_dir"):
        trt.TrtGraphConverterV2().convert()


@pytest.mark.parametrize("arguments, what", [
    ({"input_saved_model_signature_key": "absent"}, "absent"), ({"input_saved_model_tags": ["train"]}, "train")])
def test_a_signature_or_tag_that_is_not_there_is_named(world, vector, arguments, what):
    with pytest.raises(tenon.NotFound, match=what):
        converter(vector, **arguments).convert()


def test_tags_may_be_one_text(world, vector):
    converter(vector, input_saved_model_tags="serve").convert()


def test_attributes_of_tf_trts_converter_are_there(world, vector):
    made = converter(vector)
    assert not made._converted and not made._build_called_once and made._converted_func is None and made._converted_graph_def is None
    function = made.convert()
    assert made._converted and made._converted_func is function and "CPU:0" in made._device
    made.build(lambda: [world.tensor([[1]])])
    assert made._build_called_once


def test_the_converted_graph_def_is_a_graph(world, vector):
    made = converter(vector)
    made.convert()
    graph = made._converted_graph_def
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    assert b"TRTEngineOp" in wire.contents(content, 1, 2)


# ---- what a conversion says ---------------------------------------------------------------------------------------------------


def test_what_stays_native_is_said_by_op_type_unless_it_shall_be_quiet(world, tmp_path, caplog):
    folder = model(tmp_path / "negated", [-1, -1], minus=True)
    for quiet in (True, False):
        made = converter(folder)
        made.options.op_denylist, made.options.quiet = ["Neg"], quiet
        made.convert()
        assert bool(messages(caplog, "stay native")) != quiet
    assert "\t- Neg -> 1x" in messages(caplog, "stay native")[0]


# ---- calibration --------------------------------------------------------------------------------------------------------------


CALIBRATIONS = {
    "tensors": lambda x: x, "lists": lambda x: [x], "tuples": lambda x: (x,), "dictionaries": lambda x: {"x": x}, "arrays": np.asarray,
}


@pytest.mark.parametrize("style", CALIBRATIONS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_calibration_inputs_are_run_in_their_order_in_every_style(world, vector, style, dynamic, monkeypatch):
    made = converter(vector, precision_mode="INT8", use_dynamic_shape=dynamic)
    seen, real = [], type(made)._call

    def call(self, item):
        seen.append(float(np.ravel(np.asarray(next(iter(item.values())) if isinstance(item, dict) else item))[0]))
        real(self, item)
    monkeypatch.setattr(type(made), "_call", call)
    made.convert(lambda: (CALIBRATIONS[style](world.tensor([[value, 0]])) for value in (3, 1, 2)))
    assert seen == ([] if dynamic else [3, 1, 2])
    made.build(lambda: iter([world.tensor([[9, 9]])]))
    assert seen == ([9, 3, 1, 2, 9] if dynamic else [3, 1, 2, 9, 9])
    assert made._calibrated


def test_errors_of_a_calibration_function_come_through_convert(world, vector, tmp_path):
    made = converter(vector, precision_mode="INT8")

    def broken():
        yield world.tensor([[1]])
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        made.convert(broken)
    with pytest.raises(RuntimeError):
        made.save(tmp_path / "saved")


def test_errors_of_a_calibration_function_come_through_build_which_may_be_repeated(world, vector, tmp_path):
    made = converter(vector, precision_mode="INT8", use_dynamic_shape=True)
    tries = []

    def calibration():
        tries.append(1)
        yield world.tensor([[1]])
        if len(tries) == 1:
            raise ZeroDivisionError
    made.convert(calibration)
    with pytest.raises(ZeroDivisionError):
        made.build(lambda: iter([world.tensor([[1]])]))
    with pytest.raises(RuntimeError):
        made.save(tmp_path / "saved")
    made.build(lambda: iter([world.tensor([[1]])]))
    made.save(tmp_path / "saved")
    assert (tmp_path / "saved" / "assets").is_dir()


@pytest.mark.parametrize("items", [[object()], [{"x": object()}], [[None]]])
def test_calibration_data_that_are_no_tensors_are_refused(world, vector, items):
    with pytest.raises(RuntimeError, match="tensor"):
        converter(vector, precision_mode="INT8").convert(lambda: iter(items))


def test_calibration_functions_are_looked_at_before_the_model_is(world, tmp_path):
    with pytest.raises(ValueError, match="not specify"):
        converter(tmp_path / "nowhere").convert(lambda: [])
    with pytest.raises(ValueError, match="Should specify"):
        converter(tmp_path / "nowhere", precision_mode="INT8").convert()


def test_the_saved_model_of_a_lower_precision_says_so_and_computes_fp32(world, vector, tmp_path):
    made = converter(vector, precision_mode="FP16")
    made.convert()
    made.build(lambda: [world.tensor([[1e30]])])
    made.save(tmp_path / "saved")
    assert b"FP16" in (tmp_path / "saved" / "saved_model.pb").read_bytes()
    found = tenon.Session(tmp_path / "saved").run({"x": np.float32([[1e30]])})["y"]
    np.testing.assert_array_equal(found, expected(np.float32([[1e30]])))


# ---- what is saved ------------------------------------------------------------------------------------------------------------


def test_exactly_one_meta_graph_is_saved(world, tmp_path):
    model(tmp_path / "model", [-1, 2])
    path = tmp_path / "model" / "saved_model.pbtxt"
    first = path.read_text().split("\n", 1)[1]
    path.write_text(path.read_text() + first.replace('tags: "serve"', 'tags: "serve" tags: "gpu"'))
    for number, tags in enumerate((["serve"], ["serve", "gpu"])):
        made = converter(tmp_path / "model", input_saved_model_tags=tags)
        made.convert()
        made.save(tmp_path / str(number))
        [graph] = wire.contents((tmp_path / str(number) / "saved_model.pb").read_bytes(), 2)
        assert sorted(wire.contents(graph, 1, 4)) == sorted(tag.encode() for tag in tags)


def test_the_signature_keeps_its_method_names_types_and_shapes(world, tmp_path):
    model(tmp_path / "model", [-1, 5], key="my_key", minus=True)
    made = converter(tmp_path / "model", input_saved_model_signature_key="my_key")
    made.convert()
    for folder in ("unbuilt", "built"):
        made.save(tmp_path / folder)
        [entry] = wire.contents((tmp_path / folder / "saved_model.pb").read_bytes(), 2, 5)
        assert wire.contents(entry, 1) == [b"my_key"] and wire.contents(entry, 2, 3) == [b"tensorflow/serving/predict"]
        assert sorted(wire.contents(entry, 2, 2, 2, 1)) == [b"y:0", b"z:0"] and wire.contents(entry, 2, 1, 2, 1) == [b"in_x:0"]
        made._build_called_once or made.build(lambda: [world.tensor(np.ones((2, 5)))])


def test_models_may_be_saved_any_number_of_times(world, vector, tmp_path):
    made = converter(vector)
    function = made.convert()
    sizes = []
    for number in range(3):
        if number:
            function(world.tensor([[1.0] * number]))
        made.save(tmp_path / str(number))
        sizes.append(len(list((tmp_path / str(number)).glob("assets/*"))))
    assert sizes == [0, 1, 1]


# ---- the world that is taken --------------------------------------------------------------------------------------------------


def run(script, **environment):
    clean = {name: value for name, value in os.environ.items() if name != "TENON_TENSORFLOW"}
    done = subprocess.run([sys.executable, "-c", script], env={**clean, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


BLOCKED = """
import importlib.abc, os, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ImportError(name + " is refused")
sys.meta_path.insert(0, Refuse())
import numpy as np
import tenon
from tenon import trt_convert as trt
def ones(*shape):
    return np.ones(shape, np.float32)
"""

EVERYTHING = """
import pathlib
folder = pathlib.Path(FOLDER)
made = trt.TrtGraphConverterV2(str(folder / "model"), precision_mode="INT8", use_dynamic_shape=True, minimum_segment_size=2,
                               dynamic_shape_profile_strategy="Range+Optimal")
function = made.convert(lambda: [{"x": ones(2, 3)}])
made.build(lambda: [[ones(2, 3)], [ones(4, 3)]])
made.summary(print_fn=lambda line: None)
made.report.save_html(folder / "report.html")
made.save(folder / "saved")
assert function(x=ones(3, 3))["y"].tolist() == (ones(3, 3) * 3).tolist()
session = tenon.Session(folder / "saved")
assert session.run({"x": ones(4, 3)})["y"].tolist() == (ones(4, 3) * 3).tolist()
assert [(engine.calls, engine.native_calls) for engine in session.engines] == [(1, 0)]
again = trt.TrtGraphConverterV2(str(folder / "saved"), minimum_segment_size=2)
assert again.convert()(ones(1, 3))["y"].tolist() == [[3, 3, 3]]
graph = trt.create_inference_graph(None, ["y"], max_batch_size=2, minimum_segment_size=2, input_saved_model_dir=str(folder / "model"),
                                   output_saved_model_dir=str(folder / "v1"))
assert isinstance(graph, bytes) and b"TRTEngineOp" in graph
assert tenon.Session(folder / "v1").run({"x": ones(2, 3)})["y"].tolist() == (ones(2, 3) * 3).tolist()
try:
    trt.get_tensorrt_rewriter_config(trt.DEFAULT_TRT_CONVERSION_PARAMS, is_dynamic_op=True)
except RuntimeError as error:
    assert "tensorflow" in str(error)
assert not [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras")]
"""


def test_everything_but_tensorflows_own_messages_works_where_tensorflow_cannot_be_imported(tmp_path):
    model(tmp_path / "model", [-1, 3])
    run(f"FOLDER = {str(tmp_path)!r}\n" + BLOCKED + EVERYTHING)


def test_asking_for_a_tensorflow_that_is_not_there_is_an_import_error(vector):
    run(BLOCKED + f"""
try:
    trt.TrtGraphConverterV2({str(vector)!r}).convert()
except ImportError as error:
    assert "tensorflow" in str(error)
else:
    raise SystemExit("no error")
""", TENON_TENSORFLOW="1")


def test_tensorflow_is_used_when_it_is_asked_for_or_imported_already(vector):
    pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")
    run(f"""
import os, sys
import numpy as np
from tenon import trt_convert as trt
def convert():
    return trt.TrtGraphConverterV2({str(vector)!r}, minimum_segment_size=2).convert()
plain = convert()
assert isinstance(plain(np.float32([[1]]))["y"], np.ndarray) and "tensorflow" not in sys.modules
os.environ["TENON_TENSORFLOW"] = "1"
asked = convert()
assert "tensorflow" in sys.modules
import tensorflow as tf
assert isinstance(asked, tf.types.experimental.ConcreteFunction)
del os.environ["TENON_TENSORFLOW"]
assert isinstance(convert(), tf.types.experimental.ConcreteFunction)
assert plain(np.float32([[1]]))["y"].tolist() == [[3]]
""")
