"""tenon.trt_convert by the tables of TF-TRT's behaviour: every test runs without TensorFlow, and with it where it is installed."""
import os
import subprocess
import sys

import numpy as np
import pytest

from tenon import trt_convert as trt
from trt_models import converter, expected, model, negated, shapes_of, vector  # noqa: F401  (two are fixtures)
from trt_world import world  # noqa: F401  (a fixture)


def entries(made):
    """The entries of the only engine."""
    [engine] = made._model.engines
    return made._model.resource(engine).entries()


def counts(made):
    """(calls by the engine, native calls) of the only engine."""
    [engine] = made._model.engines
    resource = made._model.resource(engine)
    return resource.calls(), resource.native_calls()


def asset_names(folder):
    assets = folder / "assets"
    return {path.name: path.stat().st_size for path in assets.iterdir()} if assets.is_dir() else {}


@pytest.fixture
def pair(tmp_path):
    return model(tmp_path / "pair", [-1, -1], inputs=("b", "a"))


# ---- the order of calls -------------------------------------------------------------------------------------------------------


def inputs(world):
    return shapes_of(world, (2, 3))


WRONG_ORDERS = {
    "convert twice": (AssertionError, {}, lambda c, w: (c.convert(), c.convert())),
    "calibration data missing": (ValueError, {"precision_mode": "INT8"}, lambda c, w: c.convert()),
    "calibration data for FP32": (ValueError, {}, lambda c, w: c.convert(inputs(w))),
    "calibration data for FP16": (ValueError, {"precision_mode": "FP16"}, lambda c, w: c.convert(inputs(w))),
    "calibration data without calibration": (ValueError, {"precision_mode": "INT8", "use_calibration": False},
                                             lambda c, w: c.convert(inputs(w))),
    "build before convert": (RuntimeError, {}, lambda c, w: c.build(inputs(w))),
    "build without inputs": (RuntimeError, {}, lambda c, w: (c.convert(), c.build(None))),
    "build with an empty generator": (RuntimeError, {}, lambda c, w: (c.convert(), c.build(lambda: iter([])))),
    "build with no tensor": (RuntimeError, {}, lambda c, w: (c.convert(), c.build(lambda: iter([object()])))),
    "build twice": (NotImplementedError, {}, lambda c, w: (c.convert(), c.build(inputs(w)), c.build(inputs(w)))),
    "save before convert": (AssertionError, {}, lambda c, w: c.save("nowhere")),
    "save before calibration": (RuntimeError, {"precision_mode": "INT8", "use_dynamic_shape": True},
                                lambda c, w: (c.convert(inputs(w)), c.save("nowhere"))),
    "summary before convert": (RuntimeError, {}, lambda c, w: c.summary()),
    "summary of short lines": (ValueError, {}, lambda c, w: (c.convert(), c.summary(line_length=159))),
    "report before convert": (RuntimeError, {}, lambda c, w: c.report),
}


@pytest.mark.parametrize("case", WRONG_ORDERS)
def test_a_wrong_order_of_calls_raises_what_tf_trt_raises(world, vector, case):
    error, arguments, calls = WRONG_ORDERS[case]
    with pytest.raises(error):
        calls(converter(vector, **arguments), world)


@pytest.mark.parametrize("arguments", [
    {"use_dynamic_shape": True, "dynamic_shape_profile_strategy": "Best"}, {"precision_mode": "Fp16"}, {"precision_mode": "BF16"},
    {"minimum_segment_size": 0}, {"minimum_segment_size": -2},
    {"conversion_params": trt.DEFAULT_TRT_CONVERSION_PARAMS._replace(precision_mode="FP8")}])
def test_parameters_that_do_not_exist_are_refused_in_the_constructor(world, vector, arguments):
    with pytest.raises(ValueError):
        converter(vector, **arguments)


@pytest.mark.parametrize("strategy", ["Range", "OPTIMAL", "range+optimal", "implicitbatchmodecompatible"])
def test_the_case_of_a_strategy_does_not_matter(world, vector, strategy):
    made = converter(vector, use_dynamic_shape=True, dynamic_shape_profile_strategy=strategy)
    made.convert()
    made.build(inputs(world))
    assert entries(made)


def test_conversion_params_replace_the_single_arguments(world, vector, tmp_path):
    params = trt.DEFAULT_TRT_CONVERSION_PARAMS._replace(minimum_segment_size=1000)
    made = converter(vector, minimum_segment_size=1, conversion_params=params)
    made.convert()
    assert made._model.engines == []


def test_a_segment_size_of_minus_one_makes_no_engine(world, vector):
    made = converter(vector, minimum_segment_size=-1)
    function = made.convert()
    assert made._model.engines == []
    np.testing.assert_array_equal(function(world.tensor([[3]]))["y"], [[7]])


# ---- the converted function ---------------------------------------------------------------------------------------------------


def test_the_function_takes_inputs_by_position_in_the_order_of_names_and_by_name(world, pair):
    function = converter(pair).convert()
    a, b = world.tensor([[1, 2]]), world.tensor([[10, 20]])
    for result in (function(a, b), function(a=a, b=b), function(a, b=b), function(b=b, a=a)):
        assert list(result) == ["y"]
        np.testing.assert_array_equal(result["y"], expected(np.array([[11, 22]])))
    assert set(function.structured_input_signature[1]) == {"a", "b"}
    assert set(function.structured_outputs) == {"y"}


@pytest.mark.parametrize("call", [
    lambda f, x: f(), lambda f, x: f(x), lambda f, x: f(x, x, x), lambda f, x: f(x, b=x, c=x), lambda f, x: f(x, a=x),
    lambda f, x: f(a=x)])
def test_a_call_with_other_inputs_than_the_signatures_is_a_type_error(world, pair, call):
    function = converter(pair).convert()
    with pytest.raises(TypeError):
        call(function, world.tensor([[1]]))


def test_the_function_outlives_its_converter(world, vector):
    function = converter(vector).convert()
    np.testing.assert_array_equal(function(world.tensor([[1, 2]]))["y"], [[3, 5]])


def test_numpy_arrays_and_lists_are_taken_as_they_are(world, vector):
    function = converter(vector).convert()
    np.testing.assert_array_equal(function(np.float32([[1, 2]]))["y"], [[3, 5]])
    np.testing.assert_array_equal(function([[1.0, 2.0]])["y"], [[3, 5]])


# ---- build(): what input functions may yield ----------------------------------------------------------------------------------

ONE = {
    "tensor": lambda x: x, "list": lambda x: [x], "tuple": lambda x: (x,), "dictionary": lambda x: {"x": x},
    "array": lambda x: np.asarray(x), "nested list": lambda x: [np.asarray(x).tolist()],
}
TWO = {
    "list": lambda a, b: [a, b], "tuple": lambda a, b: (a, b), "dictionary": lambda a, b: {"a": a, "b": b},
    "other order": lambda a, b: {"b": b, "a": a}, "arrays": lambda a, b: [np.asarray(a), np.asarray(b)],
}


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("style", ONE)
def test_build_takes_one_input_in_every_style(world, vector, style, dynamic):
    made = converter(vector, use_dynamic_shape=dynamic)
    made.convert()
    made.build(lambda: iter([ONE[style](world.tensor(np.ones((4, 3)))), ONE["tensor"](world.tensor(np.ones((4, 3))))]))
    [entry] = entries(made)
    assert entry["max"] == [[4, 3]] and entry["failure"] == ""


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("style", TWO)
def test_build_takes_two_inputs_in_every_style(world, pair, style, dynamic):
    made = converter(pair, use_dynamic_shape=dynamic)
    made.convert()
    x = world.tensor(np.ones((4, 3)))
    made.build(lambda: iter([TWO[style](x, x), TWO["list"](x, x)]))
    [entry] = entries(made)
    assert entry["max"][0] == [4, 3] and entry["failure"] == ""


def test_build_takes_inputs_of_sizes_that_the_signature_does_not_have_as_far_as_tensorflow_does(world, tmp_path):
    if world.name == "arrays":
        pytest.skip("a session checks shapes")
    made = converter(model(tmp_path / "model", [-1, 1, 1]))
    made.convert()
    made.build(shapes_of(world, (4, 2, 1), (4, 4, 1)))


def test_build_may_be_repeated_after_it_failed(world, vector, monkeypatch):
    made = converter(vector, use_dynamic_shape=True)
    function = made.convert()

    def broken():
        yield world.tensor(np.ones((2, 3)))
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        made.build(broken)
    made.build(shapes_of(world, (5, 6)))
    assert [entry["max"] for entry in entries(made)] == [[[5, 6]]]
    function(world.tensor(np.ones((5, 6))))


def test_a_build_that_is_aborted_fails_where_native_execution_is_refused_and_succeeds_later(world, vector, monkeypatch):
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "True")
    made = converter(vector)
    function = made.convert()
    with pytest.raises(world.refusal, match="User disallowed engine native segment execution"):
        made.build(inputs(world))
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "False")
    made.build(inputs(world))
    np.testing.assert_array_equal(function(world.tensor(np.ones((2, 3))))["y"], np.full((2, 3), 3))


def test_a_build_whose_engines_failed_says_so(world, vector, monkeypatch, caplog):
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "True")
    made = converter(vector)
    function = made.convert()
    made.build(inputs(world))
    assert any("runs natively" in record.message for record in caplog.records)
    np.testing.assert_array_equal(function(world.tensor(np.ones((2, 3))))["y"], np.full((2, 3), 3))


def test_shapes_cannot_be_collected_when_there_are_profiles(world, vector):
    made = converter(vector, use_dynamic_shape=True)
    function = made.convert()
    function(world.tensor(np.ones((2, 3))))
    with pytest.raises(Exception, match="Cannot collect new shapes when profiles are already created"):
        made.build(inputs(world))


def test_a_range_of_shapes_of_different_ranks_is_an_error(world, tmp_path):
    made = converter(model(tmp_path / "model", None), use_dynamic_shape=True)
    made.convert()
    with pytest.raises(Exception, match="rank"):
        made.build(shapes_of(world, (2, 3), (2, 3, 4)))


# ---- implicit batch -----------------------------------------------------------------------------------------------------------


def test_an_engine_of_a_batch_serves_every_smaller_one(world, vector):
    made = converter(vector, maximum_cached_engines=4)
    function = made.convert()
    for shape, count in [((2, 2), 1), ((1, 2), 1), ((3, 2), 2), ((10, 10), 3), ((1, 10), 3)]:
        np.testing.assert_array_equal(function(world.tensor(np.ones(shape)))["y"], np.full(shape, 3))
        assert len(entries(made)) == count, shape
    assert sorted(entry["max"] for entry in entries(made)) == [[[2, 2]], [[3, 2]], [[10, 10]]]
    assert counts(made) == (5, 0)


def test_the_least_recently_used_engine_makes_room_and_is_built_again(world, vector, monkeypatch):
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    made = converter(vector, maximum_cached_engines=2)
    function = made.convert()
    for width, kept in [(1, {1}), (2, {1, 2}), (1, {1, 2}), (3, {1, 3}), (2, {2, 3})]:
        function(world.tensor(np.ones((2, width))))
        assert {entry["max"][0][1] for entry in entries(made)} == kept
    assert counts(made) == (5, 0)


def test_one_cached_engine_is_replaced_by_each_larger_batch(world, vector, monkeypatch):
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "False")
    made = converter(vector)
    function = made.convert()
    for batch, kept in [(1, 1), (2, 2), (4, 4), (2, 4)]:
        function(world.tensor(np.ones((batch, 3))))
        assert [entry["max"] for entry in entries(made)] == [[[kept, 3]]]


def test_build_makes_an_engine_for_each_shape_that_no_engine_serves(world, vector):
    made = converter(vector, maximum_cached_engines=3)
    made.convert()
    made.build(shapes_of(world, (4, 2), (2, 2), (1, 5)))
    assert sorted(entry["max"] for entry in entries(made)) == [[[1, 5]], [[4, 2]]]
    assert counts(made) == (4, 0)  # the first input runs twice


def test_inputs_of_unknown_batches_share_an_engine_and_other_batches_run_natively(world, pair, monkeypatch):
    made = converter(pair)
    function = made.convert()
    [engine] = made._model.engines
    assert set(engine["ops"]) >= {"AddV2", "Mul"}
    a, b = np.ones((4, 3)), np.ones((1, 3))
    np.testing.assert_array_equal(function(world.tensor(a), world.tensor(a))["y"], expected(a + a))
    np.testing.assert_array_equal(function(world.tensor(a), world.tensor(b))["y"], expected(a + b))
    assert counts(made) == (1, 1)


# ---- profiles -----------------------------------------------------------------------------------------------------------------

A, B = [8, 128], [4, 384]
PROFILES = {
    "Range": [([4, 128], [8, 384], [8, 384])],
    "Optimal": [(A, A, A), (B, B, B)],
    "Range+Optimal": [(A, A, A), (B, B, B), ([4, 128], [8, 384], [8, 384])],
    "ImplicitBatchModeCompatible": [([1, 128], A, A), ([1, 384], B, B)],
}
LOOKUPS = {  # which profile serves a shape; None: the native segment
    (8, 128): (0, 0, 0, 0), (4, 384): (0, 1, 1, 1), (6, 200): (0, None, 2, None), (1, 128): (None, None, None, 0),
    (2, 384): (None, None, None, 1), (8, 384): (0, None, 2, None), (9, 128): (None,) * 4,
}


def built(world, folder, strategy, *shapes):
    made = converter(folder, use_dynamic_shape=True, dynamic_shape_profile_strategy=strategy)
    function = made.convert()
    made.build(shapes_of(world, *shapes))
    return made, function


@pytest.mark.parametrize("strategy", PROFILES)
def test_the_guides_table_of_profiles(world, vector, strategy):
    made, _ = built(world, vector, strategy, A, B)
    assert [(entry["min"][0], entry["opt"][0], entry["max"][0]) for entry in entries(made)] == PROFILES[strategy]


@pytest.mark.parametrize("number, strategy", list(enumerate(PROFILES)))
def test_the_first_profile_that_contains_a_shape_serves_it(world, vector, number, strategy):
    made, function = built(world, vector, strategy, A, B)
    for shape, profiles in LOOKUPS.items():
        before, (_, native) = [entry["calls"] for entry in entries(made)], counts(made)
        np.testing.assert_array_equal(function(world.tensor(np.ones(shape)))["y"], np.full(shape, 3))
        served = [after["calls"] - calls for after, calls in zip(entries(made), before)]
        assert len(entries(made)) == len(PROFILES[strategy])
        assert served == [int(index == profiles[number]) for index in range(len(served))], shape
        assert counts(made)[1] - native == (profiles[number] is None), shape


@pytest.mark.parametrize("strategy, count", [("Range", 1), ("Optimal", 3), ("Range+Optimal", 4), ("ImplicitBatchModeCompatible", 3)])
def test_profiles_of_two_inputs(world, tmp_path, strategy, count):
    folder = model(tmp_path / "pair", [-1, -1, 10], inputs=("a", "b"))
    made = converter(folder, use_dynamic_shape=True, dynamic_shape_profile_strategy=strategy)
    function = made.convert()
    samples = [world.tensor(np.ones((size, size, 10))) for size in (2, 3, 16)]
    made.build(lambda: iter([(sample, sample) for sample in samples]))
    assert len(entries(made)) == count
    for sample in samples:
        function(sample, sample)
    assert counts(made)[1] == 3  # while shapes were collected


def test_the_guides_bert_example(world, tmp_path, monkeypatch):
    names = ("input_mask", "input_type_ids", "input_word_ids")
    folder = model(tmp_path / "bert", [-1, -1], dtype="int32", inputs=names)
    made = converter(folder, use_dynamic_shape=True, dynamic_shape_profile_strategy="Optimal")
    function = made.convert()
    made.build(lambda: iter([[world.tensor(np.ones((1, length)), np.int32) for _ in names] for length in (128, 384)]))
    assert [entry["max"] for entry in entries(made)] == [[[1, 128]] * 3, [[1, 384]] * 3]
    assert all(entry["min"] == entry["opt"] == entry["max"] for entry in entries(made))
    _, native = counts(made)
    for length in (128, 384):
        result = function(**{name: world.tensor(np.full((1, length), 2), np.int32) for name in names})
        np.testing.assert_array_equal(result["y"], np.full((1, length), 13))
    assert counts(made)[1] == native
    function(*[world.tensor(np.ones((1, 200)), np.int32) for _ in names])
    assert counts(made)[1] == native + 1


def test_without_build_the_first_shape_is_the_only_one_that_an_engine_serves(world, vector):
    made = converter(vector, use_dynamic_shape=True)
    function = made.convert()
    for shape in [(1, 2), (1, 37), (1, 2)]:
        np.testing.assert_array_equal(function(world.tensor(np.ones(shape)))["y"], np.full(shape, 3))
    [entry] = entries(made)
    assert entry["min"] == entry["max"] == [[1, 2]]
    assert counts(made) == (2, 1)


# ---- native execution that is refused -----------------------------------------------------------------------------------------


def test_the_first_call_builds_and_waits_where_native_execution_is_refused(world, vector, monkeypatch):
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "0")
    function = converter(vector).convert()
    np.testing.assert_array_equal(function(world.tensor([[1]]))["y"], [[3]])


def test_a_shape_outside_all_profiles_is_refused_where_native_execution_is(world, vector, monkeypatch):
    made, function = built(world, vector, "Optimal", (2, 2))
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "false")
    with pytest.raises(world.refusal, match="User disallowed engine native segment execution"):
        function(world.tensor(np.ones((3, 3))))
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "true")
    function(world.tensor(np.ones((3, 3))))


# ---- calibration --------------------------------------------------------------------------------------------------------------


def test_int8_without_dynamic_shapes_is_calibrated_by_convert(world, vector):
    seen = []

    def calibration():
        for value in (1, 2):
            seen.append(value)
            yield [world.tensor([[value]])]
    made = converter(vector, precision_mode="INT8")
    function = made.convert(calibration_input_fn=calibration)
    assert seen == [1, 2] and made._calibrated
    np.testing.assert_array_equal(function(world.tensor([[3]]))["y"], [[7]])


def test_int8_with_dynamic_shapes_is_calibrated_by_build(world, vector, tmp_path):
    seen = []

    def calibration():
        seen.append("calibration")
        yield {"x": world.tensor([[1]])}

    def shapes():
        seen.append("shapes")
        yield world.tensor([[1]])
    made = converter(vector, precision_mode="int8", use_dynamic_shape=True)
    made.convert(calibration)
    assert seen == [] and not made._calibrated
    made.build(shapes)
    assert seen == ["shapes", "calibration"] and made._calibrated
    made.save(tmp_path / "saved")


@pytest.mark.parametrize("precision", ["FP16", "INT8"])
def test_a_lower_precision_is_a_permission_and_is_said_once_to_run_fp32(world, vector, caplog, precision):
    for _ in range(2):
        converter(vector, precision_mode=precision)
    assert len([record for record in caplog.records if "FP32" in record.message]) == 1


# ---- save ---------------------------------------------------------------------------------------------------------------------


def saved_session(folder):
    import tenon
    return tenon.Session(folder)


def test_save_writes_the_engines_that_ran(world, vector, tmp_path):
    made = converter(vector)
    made.convert()
    made.save(tmp_path / "before")
    assert asset_names(tmp_path / "before") == {}
    made.build(inputs(world))
    made.save(tmp_path / "after")
    [(name, size)] = asset_names(tmp_path / "after").items()
    assert name == "trt-serialized-engine.TRTEngineOp_000_000" and size > 0
    for folder in ("before", "after"):
        session = saved_session(tmp_path / folder)
        np.testing.assert_array_equal(session.run({"x": np.float32([[2]])})["y"], [[5]])


def test_save_empties_the_cache_and_the_function_goes_on(world, vector, tmp_path):
    made = converter(vector)
    function = made.convert()
    made.build(inputs(world))
    made.save(tmp_path / "saved")
    assert entries(made) == []
    np.testing.assert_array_equal(function(world.tensor([[2]]))["y"], [[5]])


def test_engines_that_are_not_to_be_saved_leave_empty_files(world, vector, tmp_path):
    made = converter(vector)
    made.convert()
    made.build(inputs(world))
    made.save(tmp_path / "saved", save_gpu_specific_engines=False)
    assert asset_names(tmp_path / "saved") == {"trt-serialized-engine.TRTEngineOp_000_000": 0}
    np.testing.assert_array_equal(saved_session(tmp_path / "saved").run({"x": np.float32([[2]])})["y"], [[5]])


def test_only_the_converted_signature_is_saved(world, scale_model, tmp_path):
    made = trt.TrtGraphConverterV2(str(scale_model), input_saved_model_signature_key="triple", minimum_segment_size=1)
    made.options.quiet = True
    made.convert()
    made.save(tmp_path / "saved")
    session = saved_session(tmp_path / "saved")
    assert session.signature_keys == ["triple"]
    np.testing.assert_array_equal(session.run({"x": np.float32([[1, 2, 3]])})["y"], [[3, 6, 9]])


def test_building_at_run_time_is_the_users_choice_from_save_on(world, vector, tmp_path, monkeypatch):
    made = converter(vector, allow_build_at_runtime=False)
    function = made.convert()
    function(world.tensor([[2]]))
    assert counts(made) == (1, 0)  # until it is saved, calls build
    made._model.clear()
    made.save(tmp_path / "saved")
    monkeypatch.setenv("TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION", "0")
    import tenon
    with pytest.raises(tenon.Aborted):
        saved_session(tmp_path / "saved").run({"x": np.float32([[2]])})


def test_an_existing_model_is_replaced_and_other_files_stay(world, vector, tmp_path):
    made = converter(vector)
    made.convert()
    made.build(inputs(world))
    made.save(tmp_path / "saved")
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    made.save(tmp_path / "saved")
    assert asset_names(tmp_path / "saved") == {}
    assert (tmp_path / "saved" / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved", "vector"]


def test_the_original_may_be_saved_over(world, vector):
    made = converter(vector)
    function = made.convert()
    made.build(inputs(world))
    made.save(vector)
    assert len(asset_names(vector)) == 1
    np.testing.assert_array_equal(saved_session(vector).run({"x": np.float32([[2]])})["y"], [[5]])
    np.testing.assert_array_equal(function(world.tensor([[2]]))["y"], [[5]])


def test_a_model_that_cannot_be_written_leaves_nothing_behind(world, vector, tmp_path):
    made = converter(vector)
    made.convert()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        made.save(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "vector"]


def test_native_segments_can_be_left_out(world, vector, tmp_path, monkeypatch):
    made = converter(vector, minimum_segment_size=1, allow_build_at_runtime=False)
    made.convert()
    made.build(inputs(world))
    monkeypatch.setenv("TF_TRT_EXPERIMENTAL_FEATURES", "remove_native_segments")
    made.save(tmp_path / "saved")
    assert b"_native_segment" not in (tmp_path / "saved" / "saved_model.pb").read_bytes()
    np.testing.assert_array_equal(saved_session(tmp_path / "saved").run({"x": np.float32([[2, 3, 4]])})["y"], [[5, 7, 9]])


# ---- the environment and Tenon's options --------------------------------------------------------------------------------------


def test_op_types_can_be_denied(world, negated, monkeypatch):
    made = converter(negated, minimum_segment_size=1)
    made.options.op_denylist = "AddV2"
    monkeypatch.setenv("TF_TRT_OP_DENYLIST", "Identity, Neg")
    made.convert()
    [engine] = made._model.engines
    assert set(engine["ops"]) - {"Const"} == {"Mul"}
    assert {"AddV2", "Neg"} <= {group["op_type"] for group in made.report.native}


def test_the_number_of_engines_is_limited_on_request_only(world, negated, monkeypatch):
    for limit, count in [("", 2), ("1", 1), ("20", 2)]:
        monkeypatch.setenv("TF_TRT_MAX_ALLOWED_ENGINES", limit)
        made = converter(negated, minimum_segment_size=1)
        made.options.op_denylist = ["AddV2"]
        made.convert()
        assert len(made._model.engines) == count


def test_an_option_that_does_not_exist_is_refused(vector):
    made = converter(vector)
    with pytest.raises(AttributeError, match="op_denylist"):
        made.options.denylist = ["Mul"]
    with pytest.raises(ValueError):
        made.options.threads = -1


def test_reasons_are_printed_or_written_on_request(world, negated, monkeypatch, tmp_path, capsys):
    made = converter(negated)
    made.options.op_denylist = ["Neg"]
    monkeypatch.setenv("TF_TRT_SHOW_DETAILED_REPORT", "1")
    made.convert()
    assert "Neg" in capsys.readouterr().out
    monkeypatch.setenv("TF_TRT_SHOW_DETAILED_REPORT", str(tmp_path / "reasons.csv"))
    made = converter(negated)
    made.options.op_denylist = ["Neg"]
    made.convert()
    lines = (tmp_path / "reasons.csv").read_text().splitlines()
    assert lines[0] == "OP Name|Reason|Count" and lines[1].startswith("Neg|") and lines[1].endswith("|1")


def test_the_graph_and_the_engines_are_exported_on_request(world, vector, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_TRT_EXPORT_GRAPH_VIZ_PATH", str(tmp_path / "graph.dot"))
    monkeypatch.setenv("TF_TRT_EXPORT_TRT_ENGINES_PATH", str(tmp_path / "engines"))
    made = converter(vector)
    made.convert()
    assert "TRTEngineOp_000_000" in (tmp_path / "graph.dot").read_text()
    made.build(inputs(world))
    made.save(tmp_path / "saved")
    stored = (tmp_path / "saved" / "assets" / "trt-serialized-engine.TRTEngineOp_000_000").read_bytes()
    assert (tmp_path / "engines" / "TRTEngineOp_000_000").read_bytes() == stored
    assert "[[2, 3]]" in (tmp_path / "engines" / "dims-TRTEngineOp_000_000").read_text()


@pytest.mark.parametrize("name", ["TF_TRT_SPARSE_MODE", "TF_TRT_FIXED_ALGORITHM_ID"])
def test_a_variable_without_a_meaning_is_told(world, vector, monkeypatch, caplog, name):
    monkeypatch.setenv(name, "1")
    converter(vector)
    assert any(name in record.message for record in caplog.records)


@pytest.mark.parametrize("dynamic, freeze", [(True, False), (False, True)])
def test_graphs_are_frozen_unless_the_environment_and_dynamic_shapes_say_otherwise(world, vector, monkeypatch, caplog, dynamic, freeze):
    assert converter(vector, use_dynamic_shape=dynamic).freeze
    monkeypatch.setenv("TF_TRT_EXPERIMENTAL_FEATURES", "disable_graph_freezing")
    assert converter(vector, use_dynamic_shape=dynamic).freeze == freeze
    assert any("frozen" in record.message for record in caplog.records) == freeze


# ---- one process without TensorFlow -------------------------------------------------------------------------------------------


def test_a_process_where_tensorflow_cannot_be_imported_converts_builds_saves_and_runs(vector, tmp_path):
    script = f"""
import importlib.abc, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError("refused")
sys.meta_path.insert(0, Refuse())
import numpy as np
from tenon import trt_convert as trt
converter = trt.TrtGraphConverterV2(input_saved_model_dir={str(vector)!r}, minimum_segment_size=2)
function = converter.convert()
converter.build(lambda: iter([np.ones((2, 3), np.float32)]))
converter.save({str(tmp_path / "saved")!r})
converter.summary()
assert function(np.float32([[2]]))["y"].tolist() == [[5]]
import tenon
assert tenon.Session({str(tmp_path / "saved")!r}).run({{"x": np.float32([[2, 3, 4]])}})["y"].tolist() == [[5, 7, 9]]
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], env={k: v for k, v in os.environ.items() if k != "TENON_TENSORFLOW"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
