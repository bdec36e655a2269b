"""Models for all tests: small ones written here as text, and the trained one of examples/digits."""
import pytest

from tenon_cli import DIGITS, tenon_command


def pytest_configure(config):
    """Markers of this folder."""
    config.addinivalue_line("markers", "full: too heavy for the quick lane of scripts/test.sh")


def _node(name, op, inputs=(), **attributes):
    lines = [f'name: "{name}"', f'op: "{op}"', *(f'input: "{i}"' for i in inputs)]
    lines += [f'attr {{ key: "{key}" value {{ {value} }} }}' for key, value in attributes.items()]
    return "node { " + " ".join(lines) + " }"


def _shape(sizes):
    return "shape { unknown_rank: true }" if sizes is None else "shape { " + " ".join(f"dim {{ size: {s} }}" for s in sizes) + " }"


def _info(tensor, dtype, sizes):
    return f'name: "{tensor}" dtype: {dtype} tensor_{_shape(sizes)}'


def _signature(key, inputs, outputs):
    text = "".join(f'inputs {{ key: "{k}" value {{ {v} }} }} ' for k, v in inputs.items())
    text += "".join(f'outputs {{ key: "{k}" value {{ {v} }} }} ' for k, v in outputs.items())
    return f'signature_def {{ key: "{key}" value {{ {text} method_name: "tensorflow/serving/predict" }} }}'


def _graph(nodes):
    return "\n".join(nodes) + "\nversions { producer: 1395 }\n"


def _write_saved_model(folder, nodes, signatures):
    folder.mkdir(parents=True)
    (folder / "saved_model.pbtxt").write_text(
        "saved_model_schema_version: 1\nmeta_graphs {\nmeta_info_def { tags: \"serve\" }\n"
        f"graph_def {{\n{_graph(nodes)}}}\n" + "\n".join(signatures) + "\n}\n")
    return folder


def identity_nodes(dtype, sizes):
    return [_node("x", "Placeholder", dtype=f"type: {dtype}", shape=_shape(sizes)),
            _node("y", "Identity", ["x"], T=f"type: {dtype}")]


@pytest.fixture
def identity_model(tmp_path):
    """A function that writes a model whose output y is its input x."""
    def make(dtype, sizes=(-1,)):
        return _write_saved_model(tmp_path / f"identity_{dtype}", identity_nodes(dtype, sizes), [
            _signature("serving_default", {"x": _info("x:0", dtype, sizes)}, {"y": _info("y:0", dtype, sizes)})])
    return make


def scale_nodes():
    def constant(name, value):
        return _node(name, "Const", dtype="type: DT_FLOAT", value=f"tensor {{ dtype: DT_FLOAT tensor_shape {{ }} float_val: {value} }}")
    return [_node("x", "Placeholder", dtype="type: DT_FLOAT", shape=_shape([-1, 3])),
            constant("two", 2), constant("three", 3),
            _node("double", "Mul", ["x", "two"], T="type: DT_FLOAT"),
            _node("triple", "Mul", ["x", "three"], T="type: DT_FLOAT"),
            _node("both", "AddV2", ["double", "triple"], T="type: DT_FLOAT"),
            _node("split", "Unpack", ["x"], T="type: DT_FLOAT", num="i: 3", axis="i: 1")]


@pytest.fixture
def scale_model(tmp_path):
    """x [?,3] -> 2x under the key "double", 3x under "triple", 5x under "serving_default"."""
    x = {"x": _info("x:0", "DT_FLOAT", [-1, 3])}
    return _write_saved_model(tmp_path / "scale", scale_nodes(), [
        _signature(key, x, {"y": _info(f"{node}:0", "DT_FLOAT", [-1, 3])})
        for key, node in [("serving_default", "both"), ("double", "double"), ("triple", "triple")]])


@pytest.fixture
def frozen_graph(tmp_path):
    """The same graph as a frozen one, without signatures."""
    path = tmp_path / "scale.pbtxt"
    path.write_text(_graph(scale_nodes()))
    return path


@pytest.fixture(scope="session")
def digits():
    return DIGITS / "model"


@pytest.fixture(scope="session")
def converted_digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "digits"
    done = tenon_command("convert", "--saved-model-dir", DIGITS / "model", "--output-dir", folder, "--min-gain", 0, "--quiet")
    assert done.returncode == 0, done.stderr
    return folder
