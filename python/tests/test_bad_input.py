"""What is wrong with models, engines, feeds and folders is said clearly, and nothing half-written stays. Needs no TensorFlow."""
import os
import random
import resource
import subprocess
import sys

import numpy as np
import pytest

import tenon

ENGINE = "trt-serialized-engine.TRTEngineOp_000_000"


def node(name, op, inputs=(), *attrs):
    return f"node {{ name: '{name}' op: '{op}' " + " ".join(f"input: '{i}'" for i in inputs) + " " + \
        " ".join("attr { " + a + " }" for a in attrs) + " }\n"


FLOAT = "key: 'T' value { type: DT_FLOAT }"
DTYPE = "key: 'dtype' value { type: DT_FLOAT }"


def placeholder(name="x", shape="dim { size: -1 } dim { size: 4 }"):
    return node(name, "Placeholder", (), DTYPE, f"key: 'shape' value {{ shape {{ {shape} }} }}")


def weights(name, seed):
    values = " ".join(f"float_val: {v}" for v in np.random.default_rng(seed).normal(size=16).astype(np.float32))
    return node(name, "Const", (), DTYPE,
                f"key: 'value' value {{ tensor {{ dtype: DT_FLOAT tensor_shape {{ dim {{ size: 4 }} dim {{ size: 4 }} }} {values} }} }}")


def info(key, tensor, shape="dim { size: -1 } dim { size: 4 }"):
    return f"key: '{key}' value {{ name: '{tensor}' dtype: DT_FLOAT tensor_shape {{ {shape} }} }}"


def write_model(folder, nodes, outputs={"y": "y:0"}, extra=""):
    os.makedirs(folder)
    text = "saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' } graph_def { " + nodes + \
        " versions { producer: 1000 } } signature_def { key: 'serving_default' value { inputs { " + info("x", "x:0") + " } " + \
        " ".join("outputs { " + info(k, v) + " }" for k, v in outputs.items()) + \
        " method_name: 'tensorflow/serving/predict' } } " + extra + " }"
    with open(os.path.join(folder, "saved_model.pbtxt"), "w") as file:
        file.write(text)
    return str(folder)


MLP = placeholder() + weights("w1", 1) + weights("w2", 2) + node("m1", "MatMul", ("x", "w1"), FLOAT) + node("r", "Relu", ("m1",), FLOAT) + \
    node("m2", "MatMul", ("r", "w2"), FLOAT) + node("y", "Tanh", ("m2",), FLOAT)
X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def convert(source, target, **options):
    return tenon.convert(source, str(target), **{"minimum_segment_size": 1, "min_gain": 0, **options})


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", MLP)


@pytest.fixture
def converted(model, tmp_path):
    convert(model, tmp_path / "converted")
    return str(tmp_path / "converted")


def run(path, x=X, **options):
    return tenon.Session(path, **options).run({"x": x})["y"]


def engine_file(folder):
    return os.path.join(folder, "assets", ENGINE)


def damaged(converted, change, capfd):
    """Runs a converted model whose engine file `change` altered; returns what the log said."""
    file = engine_file(converted)
    data = open(file, "rb").read()
    os.unlink(file)
    data = change(data)
    if data is not None:
        open(file, "wb").write(data)
    expected = run(converted, native=True)
    capfd.readouterr()
    session = tenon.Session(converted)
    np.testing.assert_allclose(session.run({"x": X})["y"], expected, rtol=1e-5, atol=1e-6)
    assert not session.engines[0].loaded or session.engines[0].rebuilt
    assert session.engines[0].reason
    log = [line for line in capfd.readouterr().err.splitlines() if line.startswith("tenon:")]
    assert len(log) == 1 and "TRTEngineOp_000_000" in log[0]
    return log[0]


def test_engine_is_used(converted):
    session = tenon.Session(converted)
    np.testing.assert_allclose(session.run({"x": X})["y"], run(converted, native=True), rtol=1e-5, atol=1e-6)
    assert session.engines[0].loaded and not session.engines[0].rebuilt and session.engines[0].calls == 1


@pytest.mark.parametrize("change", [lambda d: d[:len(d) // 2], lambda d: d[:10], lambda d: b"", lambda d: None,
                                    lambda d: b"\0" * len(d), lambda d: d + d],
                         ids=["truncated", "ten bytes", "empty", "missing", "zeros", "twice"])
def test_damaged_engine_files(converted, change, capfd):
    damaged(converted, change, capfd)


def test_flipped_bits_never_give_wrong_answers(converted):
    file = engine_file(converted)
    data = bytearray(open(file, "rb").read())
    expected = run(converted, native=True)
    generator = random.Random(1)
    for _ in range(60):
        at = generator.randrange(len(data))
        copy = bytearray(data)
        copy[at] ^= 1 << generator.randrange(8)
        os.unlink(file)
        open(file, "wb").write(copy)
        np.testing.assert_allclose(run(converted), expected, rtol=1e-5, atol=1e-6, err_msg=f"byte {at}")


def test_other_instruction_set(converted):
    code = "import tenon, numpy as np, sys; s = tenon.Session(sys.argv[1]); print(s.run({'x': np.ones((3, 4), np.float32)})['y'].sum())"
    env = dict(os.environ, TENON_MAX_CPU_ISA="AVX2", PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
    result = subprocess.run([sys.executable, "-c", code, converted], env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == pytest.approx(run(converted, np.ones((3, 4), np.float32)).sum(), rel=1e-4)


def test_no_rows(converted):
    assert run(converted, np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_nan_and_infinity(converted, model):
    x = np.array([[np.nan, 1, 2, 3], [np.inf, 1, 2, 3], [-np.inf, 0, 0, 0], [1e38, 1e38, -1e38, 1]], np.float32)
    np.testing.assert_allclose(run(converted, x), run(model, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("feeds", [{}, {"z": X}, {"x": X, "z": X}, {"x": X.astype(np.int32)}, {"x": X.astype(np.float64)},
                                   {"x": X[:, :3]}, {"x": X[0]}, {"x": X[None]}, {"x": np.array(["a"])}], ids=str)
def test_wrong_feeds(converted, feeds):
    session = tenon.Session(converted)
    with pytest.raises(tenon.Error, match="\"[xz]\""):
        session.run(feeds)
    assert session.run({"x": X})["y"].shape == (3, 4)


def test_unknown_signature(model):
    with pytest.raises(tenon.Error, match="serving_default"):
        tenon.Session(model).run({"x": X}, signature_key="nothing")
    with pytest.raises(tenon.Error, match="serving_default"):
        tenon.Session(model, signature_key="nothing")


def test_unknown_op_is_refused_only_where_it_is_needed(tmp_path):
    path = write_model(tmp_path / "model", MLP + node("strange", "NoSuchOp", ("m1",)), {"y": "y:0", "z": "strange:0"})
    session = tenon.Session(path)
    assert session.run({"x": X}, outputs=["y"])["y"].shape == (3, 4)
    with pytest.raises(tenon.Error, match="NoSuchOp \"strange\""):
        session.run({"x": X})
    convert(path, tmp_path / "converted")
    assert tenon.Session(str(tmp_path / "converted")).run({"x": X}, outputs=["y"])["y"].shape == (3, 4)


BAD_GRAPHS = {
    "cycle": placeholder() + node("a", "Neg", ("b",), FLOAT) + node("b", "Neg", ("a",), FLOAT) + node("y", "Neg", ("a",), FLOAT),
    "name twice": placeholder() + node("y", "Neg", ("x",), FLOAT) + node("y", "Neg", ("x",), FLOAT),
    "dangling": placeholder() + node("y", "Neg", ("nobody",), FLOAT),
    "dangling control": placeholder() + node("y", "Neg", ("x", "^nobody"), FLOAT),
    "missing function": placeholder() + node("y", "PartitionedCall", ("x",), "key: 'f' value { func { name: 'g' } }",
                                             "key: 'Tin' value { list { type: DT_FLOAT } }", "key: 'Tout' value { list { type: DT_FLOAT } }"),
    "missing variable": placeholder() + node("v", "VarHandleOp", (), DTYPE, "key: 'shape' value { shape { } }") +
    node("v_read", "ReadVariableOp", ("v",), DTYPE) + node("y", "Mul", ("x", "v_read"), FLOAT),
    "attribute of wrong type": placeholder() + node("y", "Cast", ("x",), "key: 'SrcT' value { i: 3 }", "key: 'DstT' value { s: 'x' }"),
    "negative shape": placeholder() + node("c", "Const", (), DTYPE, "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: -5 } } } }") +
    node("y", "Mul", ("x", "c"), FLOAT),
    "overflowing shape": placeholder() + node("c", "Const", (), DTYPE, "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { "
                                              "dim { size: 4611686018427387904 } dim { size: 4611686018427387904 } } float_val: 1 } }") +
    node("y", "Mul", ("x", "c"), FLOAT),
    "huge constant": placeholder() + node("c", "Const", (), DTYPE, "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { "
                                          "dim { size: 1099511627776 } } float_val: 1 } }") + node("y", "Mul", ("x", "c"), FLOAT),
    "short tensor": placeholder() + node("c", "Const", (), DTYPE, "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { "
                                         "dim { size: 4 } } tensor_content: 'abcd' } }") + node("y", "Mul", ("x", "c"), FLOAT),
    "fill too large": placeholder() + node("d", "Const", (), "key: 'dtype' value { type: DT_INT64 }", "key: 'value' value { tensor { dtype: DT_INT64 "
                                           "tensor_shape { dim { size: 2 } } int64_val: 4611686018427387904 int64_val: 3 } }") +
    node("s", "Const", (), DTYPE, "key: 'value' value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: 1 } }") +
    node("y", "Fill", ("d", "s"), FLOAT, "key: 'index_type' value { type: DT_INT64 }"),
    "too few operands": placeholder() + node("y", "MatMul", ("x",), FLOAT),
    "no operands": placeholder() + node("y", "AddV2", (), FLOAT),
    "too many operands": placeholder() + node("y", "Relu", ("x", "x", "x"), FLOAT),
    "engine of nothing": placeholder() + node("y", "TRTEngineOp", ("x",), "key: 'OutT' value { list { type: DT_FLOAT } }"),
}


@pytest.mark.parametrize("name", BAD_GRAPHS)
def test_bad_graphs(tmp_path, name):
    path = write_model(tmp_path / "model", BAD_GRAPHS[name])
    before = sorted(os.listdir(tmp_path))
    try:
        run(path)
        assert name == "too many operands"
    except tenon.Error as error:
        assert len(str(error)) > 20
    try:
        convert(path, tmp_path / "converted")
    except tenon.Error:
        assert sorted(os.listdir(tmp_path)) == before
    else:
        with pytest.raises(tenon.Error) if name != "too many operands" else open(os.devnull):
            run(str(tmp_path / "converted"))


def test_missing_and_damaged_models(model, tmp_path):
    with pytest.raises(tenon.Error):
        tenon.Session(str(tmp_path / "nothing"))
    data = open(os.path.join(model, "saved_model.pbtxt")).read()
    for i, text in enumerate([data[:len(data) // 2], "", "\0" * 100]):
        os.makedirs(tmp_path / f"m{i}")
        open(tmp_path / f"m{i}" / "saved_model.pbtxt", "w").write(text)
        with pytest.raises(tenon.Error):
            run(str(tmp_path / f"m{i}"))


def test_output_folders(model, tmp_path):
    os.symlink(model, tmp_path / "link")
    for target in [model, str(tmp_path / "link"), model + "/", os.path.join(model, "inside"), str(tmp_path)]:
        with pytest.raises(tenon.Error):
            convert(model, target, force=True)
    assert run(model).shape == (3, 4)
    os.makedirs(tmp_path / "precious")
    open(tmp_path / "precious" / "thesis.txt", "w").write("done")
    for force in (False, True):
        with pytest.raises(tenon.Error):
            convert(model, tmp_path / "precious", force=force)
    assert open(tmp_path / "precious" / "thesis.txt").read() == "done"
    with pytest.raises(tenon.Error):
        convert(model, "/proc/nowhere/converted")
    assert sorted(os.listdir(tmp_path)) == ["link", "model", "precious"]


def test_force_replaces_a_model(model, converted):
    with pytest.raises(tenon.Error, match="force"):
        convert(model, converted)
    convert(model, converted, force=True)
    assert run(converted).shape == (3, 4)


def test_full_disk(model, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    os.makedirs(tmp_path / "out")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(tenon.Error):
            convert(model, tmp_path / "out" / "converted")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path / "out") == []


def test_conversion_is_repeatable(model, tmp_path):
    cache = str(tmp_path / "timings")
    for name in ("first", "second", "third"):
        convert(model, tmp_path / name, timing_cache=cache)

    def contents(name):
        return {os.path.relpath(os.path.join(d, f), tmp_path / name): open(os.path.join(d, f), "rb").read()
                for d, _, files in os.walk(tmp_path / name) for f in files}
    assert contents("second") == contents("third")
    assert contents("first").keys() == contents("second").keys()


def test_converting_again(converted, tmp_path):
    expected = run(converted)
    try:
        convert(converted, tmp_path / "again")
    except tenon.Error as error:
        assert "convert" in str(error)
        return
    np.testing.assert_allclose(run(str(tmp_path / "again")), expected, rtol=1e-5, atol=1e-6)


def test_results_do_not_change_with_the_feed(tmp_path):
    path = write_model(tmp_path / "model", placeholder() + node("y", "Identity", ("x",), FLOAT))
    x = X.copy()
    y = run(path, x)
    x[:] = 0
    np.testing.assert_array_equal(y, X)


def test_results_belong_to_the_caller(tmp_path):
    nodes = placeholder() + weights("w", 1) + node("y", "Identity", ("w",), FLOAT) + node("z", "Identity", ("x",), FLOAT)
    path = write_model(tmp_path / "model", nodes, {"y": "y:0", "z": "z:0"})
    session = tenon.Session(path)
    first = session.run({"x": X})["y"]
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(session.run({"x": X})["y"], kept)


def write_chain(folder, count):
    """x -> Abs -> Neg -> Abs ... in the binary format: `count` operations."""
    def field(number, payload):
        size = len(payload)
        prefix = bytearray([number << 3 | 2])
        while size >= 128:
            prefix.append(size & 127 | 128)
            size >>= 7
        prefix.append(size)
        return bytes(prefix) + payload
    attr = field(5, field(1, b"T") + field(2, b"\x30\x01"))
    shape = field(5, field(1, b"shape") + field(2, field(7, b"\x18\x01")))
    nodes = [field(1, field(1, b"x") + field(2, b"Placeholder") + field(5, field(1, b"dtype") + field(2, b"\x30\x01")) + shape)]
    last = b"x"
    for i in range(count):
        name = b"n%d" % i
        nodes.append(field(1, field(1, name) + field(2, b"Neg" if i % 2 else b"Abs") + field(3, last) + attr))
        last = name
    os.makedirs(folder)
    path = os.path.join(folder, "graph.pb")
    with open(path, "wb") as file:
        file.write(b"".join(nodes))
    return path, last.decode()


def test_very_many_nodes(tmp_path):
    path, last = write_chain(tmp_path / "graph", 1_000_000)
    session = tenon.Session(path, inputs=["x"], outputs=[last])
    assert session.run({"x": np.float32(3)})[last] in (3, -3)
