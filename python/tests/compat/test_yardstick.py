"""TF-TRT's published integration tests: their graphs, converted in each mode, in TensorFlow and without it.

TensorFlow's own outputs = the converted function's = the saved and loaded model's = those of Tenon alone. Native execution
is refused wherever the originals refuse it, so that a right answer proves an engine.
"""
import numpy as np
import pytest

from yardstick import layout
from yardstick.cases import BORDER_OPS, all_cases

CASES = all_cases()
# What the originals run; the other modes differ in when engines are built and which profiles they get.
ORIGINAL_MODES = ("implicit", "dynamic-ImplicitBatchModeCompatible")
RUNS = [pytest.param(name, mode, marks=[] if mode in ORIGINAL_MODES else pytest.mark.full)
        for name, case in CASES.items() for mode in case.modes()]


def assert_equal_outputs(case, found, expected, stage):
    assert len(found) == len(expected)
    for number, (one, other) in enumerate(zip(found, expected)):
        assert sorted(one) == sorted(other), stage
        for key, value in other.items():
            assert one[key].dtype == value.dtype and one[key].shape == value.shape, (
                stage, number, key, one[key].dtype, one[key].shape)
            if value.dtype == bool:
                np.testing.assert_array_equal(one[key], value, err_msg=f"{stage}, input set {number}")
            else:
                np.testing.assert_allclose(one[key], value, rtol=case.rtol, atol=case.atol,
                                           err_msg=f"{stage}, input set {number}")


@pytest.mark.parametrize("name", CASES)
def test_tensorflow_runs_the_graph(name, recorded):
    outputs = recorded(name)["expected"]
    assert len(outputs) == len(CASES[name].shapes)
    for values in outputs:
        for value in values.values():
            assert value.dtype.kind in "bi" or np.isfinite(value).all()


def convert_and_compare(name, mode, denied, worker, tensorflow_worker, plain_worker, model, folder):
    """Converts in the worker, compares every stage and then Tenon alone; returns the engines."""
    case = CASES[name]
    answer = worker.run("convert_case", name, model, mode, str(folder), denied)
    for stage, outputs in answer["stages"].items():
        assert_equal_outputs(case, outputs, model["expected"], stage)
    alone = plain_worker.run("session_of_case", name, model, answer["path"])
    assert_equal_outputs(case, alone["outputs"], model["expected"], "Tenon alone")
    if not case.native:
        assert not [engine for engine in alone["engines"] if engine["calls"] == 0 or engine["native_calls"] > 0]
    types = tensorflow_worker.run("signature_types", answer["path"])
    assert types == tensorflow_worker.run("signature_types", model["path"])
    implicit = mode.startswith("implicit")
    strategy = "" if implicit else mode.split("-", 1)[1]
    for engine in tensorflow_worker.run("engine_attributes", answer["path"]).values():
        assert engine == {"implicit": implicit, "strategy": strategy, "precision": "FP32", "static": False}
    return tensorflow_worker.run("engines", answer["path"])


def assert_as_good(name, mode, engines):
    assert not layout.faults(engines, CASES[name].expected(mode) or []), engines


@pytest.mark.parametrize("name,mode", RUNS)
def test_in_tensorflow(name, mode, recorded, tensorflow_worker, plain_worker, tmp_path):
    """Ops that TF-TRT cannot convert stay native, so that the borders are where its engines end."""
    denied = BORDER_OPS if CASES[name].borders else ()
    engines = convert_and_compare(name, mode, denied, tensorflow_worker, tensorflow_worker, plain_worker, recorded(name),
                                  tmp_path)
    assert_as_good(name, mode, engines)


@pytest.mark.parametrize("name,mode", RUNS)
def test_without_tensorflow(name, mode, recorded, tensorflow_worker, plain_worker, tmp_path):
    """Everything that Tenon can convert may go into engines."""
    engines = convert_and_compare(name, mode, (), plain_worker, tensorflow_worker, plain_worker, recorded(name), tmp_path)
    assert_as_good(name, mode, engines)
