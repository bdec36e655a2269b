"""What lies between engines: edges, control edges, faults while building; and that converting again gives the same."""
import numpy as np
import pytest

from yardstick import layout
from yardstick.cases import BORDER_OPS, all_cases
from yardstick.client import JobFailed

CASES = all_cases()
MODES = {"implicit": {}, "dynamic": {"use_dynamic_shape": True}}
FEEDS = [{"input_0": np.full((2, 4), 0.5, np.float32)}]


def convert_case(name, mode, recorded, worker, folder, denied=BORDER_OPS):
    folder.mkdir()
    return worker.run("convert_case", name, recorded(name), mode, str(folder), denied)["path"]


@pytest.mark.parametrize("mode", ["implicit", "dynamic-ImplicitBatchModeCompatible"])
def test_a_constant_that_native_ops_read_stays_outside(mode, recorded, tensorflow_worker, tmp_path):
    path = convert_case("basics/constant_into_native", mode, recorded, tensorflow_worker, tmp_path / "made")
    engines = tensorflow_worker.run("engines", path)
    edges = tensorflow_worker.run("connections", path)
    first, second = (next(iter(layout.engines_of(engines, node))) for node in ("plus0", "plus1"))
    assert edges["border"] == ["serving_default_input_0", "one"]
    assert edges[first] == ["border"]
    assert edges["border1"] == [first]
    assert edges[second] == ["border1"]


@pytest.mark.parametrize("world", ["tensorflow", "plain"])
@pytest.mark.parametrize("mode", MODES)
def test_engines_wait_for_what_acts(mode, world, tensorflow_worker, plain_worker, tmp_path):
    """An assertion that only a control edge ties to what follows: it is checked before the engine runs, in every form."""
    path = tensorflow_worker.run("guarded", str(tmp_path))
    worker = tensorflow_worker if world == "tensorflow" else plain_worker
    options = {"named": True, "minimum_segment_size": 2, **MODES[mode]}
    converted = worker.run("convert", path, FEEDS, str(tmp_path), **options)
    for outputs in converted["stages"].values():
        np.testing.assert_allclose(outputs[0]["output_0"], 0.0)
    assert layout.engines_of(tensorflow_worker.run("engines", converted["path"]), "square")
    bad = [{"input_0": np.full((2, 4), 20.0, np.float32)}]
    with pytest.raises(JobFailed, match="(?i)assert"):
        plain_worker.run("session", converted["path"], bad)
    with pytest.raises(JobFailed, match="(?i)assert"):
        tensorflow_worker.run("reference_or_error", converted["path"], bad[0])


@pytest.mark.parametrize("name", [
    "shapes/float_vector_is_no_shape", "shapes/float_scalar_is_no_shape", "shapes/integer_vectors_are_data",
    "shapes/values_as_sizes", "shapes/all_inputs_pruned"])
def test_builds_that_are_aborted_leave_the_native_segment(name, recorded, tensorflow_worker, plain_worker, tmp_path):
    """Every build fails, as the originals let it: outputs are right all the same, and what is a shape stays what it is."""
    model = recorded(name)
    aborted = {"TF_TRT_ABORT_CUDA_ENGINE_BUILD": "True"}
    for number, worker in enumerate((tensorflow_worker, plain_worker)):
        folder = tmp_path / str(number)
        folder.mkdir()
        answer = worker.run("convert", model["path"], model["feeds"], str(folder), named=True, variables=aborted,
                            minimum_segment_size=2, use_dynamic_shape=True)
        for outputs in answer["stages"].values():
            for found, wanted in zip(outputs, model["expected"]):
                for key, value in wanted.items():
                    np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["chains/three_chains", "products/eleven_branches", "neighbours/many_connections"])
def test_converting_twice_gives_the_same(name, recorded, plain_worker, tensorflow_worker, tmp_path):
    paths = [convert_case(name, "implicit", recorded, plain_worker, tmp_path / folder) for folder in ("once", "again")]
    once, again = (tensorflow_worker.run("engines", path) for path in paths)
    assert list(once.values()) == list(again.values())
