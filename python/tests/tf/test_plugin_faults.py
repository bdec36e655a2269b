"""What can go wrong with an engine: TensorFlow answers all the same, or says what is wrong."""
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from plugin_models import ONLY_ENGINES, convert, make_model, only_engines, run_python, save_frozen, told

import tenon.tensorflow


@pytest.fixture
def fresh(tmp_path):
    """A model that no other test holds the engine of."""
    fresh.seed = getattr(fresh, "seed", 100) + 1
    return make_model(tmp_path, seed=fresh.seed)


DAMAGES = ["deleted", "emptied", "truncated", "text", "flipped", "weights", "version", "unreadable", "folder"]


def damage(model, how):
    for file in model.engines():
        content = bytearray(file.read_bytes())
        if how == "truncated":
            del content[-1000:]
        elif how == "emptied":
            content.clear()
        elif how == "text":
            content = b"not an engine\n" * 100
        elif how == "flipped":
            content[70] ^= 0xff
        elif how == "weights":
            content[-5000] ^= 0x10
        elif how == "version":
            content[8:12] = (99).to_bytes(4, "little")
        file.unlink()
        if how == "folder":
            file.mkdir()
        elif how == "unreadable":
            file.symlink_to(file)
        elif how != "deleted":
            file.write_bytes(content)


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_engine_is_built_again(fresh, how, monkeypatch, capfd):
    damage(fresh, how)
    call = fresh.load()
    only_engines(monkeypatch)
    fresh.check(call)
    fresh.check(call)
    fresh.check(fresh.load())
    lines = told(capfd.readouterr().err)
    assert len(lines) == (0 if how == "emptied" else 1), lines


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_engine_that_must_not_be_built_runs_natively(fresh, how, monkeypatch, capfd):
    edit(fresh.folder, forbid_builds)
    damage(fresh, how)
    calls = [fresh.load(), fresh.load()]
    for call in calls * 3:
        fresh.check(call)
    lines = told(capfd.readouterr().err)
    assert len(lines) == 1 and "TRTEngineOp_000_000" in lines[0], lines
    assert ("not allowed" in lines[0]) if how == "emptied" else ("the stored engine is not used" in lines[0])
    only_engines(monkeypatch)
    with pytest.raises(tf.errors.AbortedError, match="User disallowed engine native segment execution"):
        calls[0](fresh.x)


def test_a_build_that_fails_is_tried_again(fresh, monkeypatch, capfd):
    damage(fresh, "emptied")
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "true")
    call = fresh.load()
    for _ in range(10):
        fresh.check(call)
    lines = told(capfd.readouterr().err)
    assert len(lines) == 1 and "TF_TRT_ABORT_CUDA_ENGINE_BUILD" in lines[0], lines
    only_engines(monkeypatch)
    with pytest.raises(tf.errors.AbortedError, match="User disallowed engine native segment execution"):
        call(fresh.x)
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "false")
    fresh.check(call)


ONE_CALL = """
import sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
np.testing.assert_allclose(next(iter(signature(tf.constant(np.load(sys.argv[2]))).values())), np.load(sys.argv[3]), rtol=1e-4, atol=1e-5)
"""


def test_an_engine_of_another_instruction_set_is_built_again_or_done_without(model, tmp_path):
    np.save(tmp_path / "x.npy", model.x)
    np.save(tmp_path / "y.npy", model.y)
    output = run_python(ONE_CALL, model.folder, tmp_path / "x.npy", tmp_path / "y.npy", TENON_MAX_CPU_ISA="SSE2", **{ONLY_ENGINES: "false"})
    assert len(told(output)) == 1 and "TRTEngineOp" in told(output)[0], output
    copy = model.copy(tmp_path / "copy")
    edit(copy.folder, forbid_builds)
    output = run_python(ONE_CALL, copy.folder, tmp_path / "x.npy", tmp_path / "y.npy", TENON_MAX_CPU_ISA="SSE2")
    assert len(told(output)) == 1 and "instruction" in told(output)[0], output


def edit(folder, change):
    """Changes the model's graph."""
    from tensorflow.core.protobuf import saved_model_pb2
    path = pathlib.Path(folder) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(model.meta_graphs[0].graph_def)
    path.write_bytes(model.SerializeToString())


def engine_nodes(graph):
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return [node for node in nodes if node.op == "TRTEngineOp"]


def forbid_builds(graph):
    for node in engine_nodes(graph):
        node.attr["_allow_build_at_runtime"].b = False


def test_a_node_without_native_segment_runs_on_its_engine_alone(fresh, monkeypatch):
    def strip(graph):
        for node in engine_nodes(graph):
            del node.attr["segment_func"]
    edit(fresh.folder, strip)
    fresh.check(fresh.load())


def test_a_node_without_native_segment_and_engine_says_so(fresh):
    def strip(graph):
        for node in engine_nodes(graph):
            del node.attr["segment_func"]
    edit(fresh.folder, strip)
    damage(fresh, "deleted")
    with pytest.raises(tf.errors.AbortedError, match="no native segment"):
        fresh.load()(fresh.x)


def test_a_node_that_must_not_build_runs_natively(fresh, monkeypatch):
    edit(fresh.folder, forbid_builds)
    damage(fresh, "emptied")
    call = fresh.load()
    fresh.check(call)
    only_engines(monkeypatch)
    with pytest.raises(tf.errors.AbortedError, match="not allowed"):
        call(fresh.x)


@pytest.mark.parametrize("attribute, value, message", [
    ("profile_strategy", b"Best", "Range\\+Optimal"), ("precision_mode", b"FP64", "precision_mode"),
])
def test_attributes_that_mean_nothing_are_errors(fresh, attribute, value, message):
    def change(graph):
        for node in engine_nodes(graph):
            node.attr[attribute].s = value
    edit(fresh.folder, change)
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        fresh.load()(fresh.x)


def as_foreign(graph):
    """As TF-TRT itself writes nodes: nothing of Tenon, engines of TensorRT inside."""
    for node in engine_nodes(graph):
        for name in ("_tenon_engine", "_use_implicit_batch", "_allow_build_at_runtime"):
            node.attr.pop(name, None)
        node.attr["serialized_segment"].s = b"ftrt" + b"\0" * 100
        node.attr["static_engine"].b = True


def test_nodes_of_tf_trt_run_natively_at_once(fresh, monkeypatch, tmp_path):
    edit(fresh.folder, as_foreign)
    np.save(tmp_path / "x.npy", fresh.x)
    np.save(tmp_path / "y.npy", fresh.y)
    output = run_python(ONE_CALL, fresh.folder, tmp_path / "x.npy", tmp_path / "y.npy")
    assert len(told(output)) == 1 and "TENON_BUILD_FOREIGN_ENGINES" in told(output)[0], output
    call = fresh.load()
    fresh.check(call)
    only_engines(monkeypatch)
    with pytest.raises(tf.errors.AbortedError):
        call(fresh.x)


def test_nodes_of_tf_trt_get_engines_when_asked(fresh, monkeypatch):
    edit(fresh.folder, as_foreign)
    monkeypatch.setenv("TENON_BUILD_FOREIGN_ENGINES", "0")
    call = fresh.load()
    fresh.check(call)
    tenon.tensorflow.build_foreign_engines()
    only_engines(monkeypatch)
    fresh.check(call)
    fresh.check(fresh.load())


def test_results_that_no_memory_holds_are_tensorflows_errors(tmp_path, monkeypatch):
    save_frozen(tmp_path / "source", lambda x, n: tf.nn.relu(tf.fill(n, 2.0) * x + 1.0), tf.TensorSpec((), tf.float32),
                tf.TensorSpec((2,), tf.int32))
    folder = convert(tmp_path / "source", tmp_path / "converted", minimum_segment_size=1)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def call(*sizes):
        return signature(x=tf.constant(1.0), x1=tf.constant(sizes))["y"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="-1"):
        call(-1, 5)
    only_engines(monkeypatch)
    for sizes in [(1 << 30, 1 << 20), (2**31 - 1, 2**31 - 1)]:
        with pytest.raises(tf.errors.AbortedError, match="too large"):
            call(*sizes)
    np.testing.assert_array_equal(call(2, 3), np.full((2, 3), 3, np.float32))
    assert call(0, 7).shape == (0, 7)


NCHW = """
import sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
x, y = np.load(sys.argv[2]), np.load(sys.argv[3])
for _ in range(2):
    np.testing.assert_allclose(next(iter(signature(tf.constant(x)).values())), y, rtol=1e-3, atol=1e-4)
"""


def layered_net(x, layout):
    """Convolutions, bias, batch norm, pooling, in either layout."""
    random = np.random.default_rng(3)
    weights = [random.normal(size=size).astype(np.float32) for size in [(3, 3, 3, 8), (3, 3, 8, 1), (3, 3, 8, 8)]]
    bias, (scale, offset, mean, variance) = random.normal(size=8).astype(np.float32), random.random((4, 8), dtype=np.float32)

    def sizes(height, width):
        return [1, 1, height, width] if layout == "NCHW" else [1, height, width, 1]
    pads = [[1, 1], [0, 1]]
    y = tf.nn.bias_add(tf.nn.conv2d(x, weights[0], 1, "SAME", data_format=layout), bias, data_format=layout)
    y = tf.raw_ops.FusedBatchNormV3(x=y, scale=scale, offset=offset, mean=mean, variance=variance, is_training=False, data_format=layout).y
    y = tf.nn.max_pool2d(tf.nn.relu6(y), 2, 2, "SAME", data_format=layout)
    y = tf.nn.depthwise_conv2d(y, weights[1], sizes(1, 1), "SAME", data_format=layout)
    y = tf.nn.conv2d(y, weights[2], sizes(2, 2), [[0, 0], [0, 0], *pads] if layout == "NCHW" else [[0, 0], *pads, [0, 0]], data_format=layout)
    y = tf.nn.avg_pool2d(tf.nn.elu(y), 2, 1, "VALID", data_format=layout)
    return y * tf.reshape(bias, (8, 1, 1) if layout == "NCHW" else (8,))


@pytest.fixture(scope="module")
def nchw(tmp_path_factory):
    """A graph in the layout of GPUs, its input and its output."""
    folder = tmp_path_factory.mktemp("nchw")
    save_frozen(folder / "source", lambda x: layered_net(x, "NCHW"), tf.TensorSpec((None, 3, None, 8), tf.float32))
    convert(folder / "source", folder / "converted")
    x = np.random.default_rng(3).normal(size=(2, 3, 9, 8)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", tf.transpose(layered_net(tf.transpose(x, [0, 2, 3, 1]), "NHWC"), [0, 3, 1, 2]))
    return folder


@pytest.mark.parametrize("onednn", ["0", "1"])
@pytest.mark.parametrize("by", ["engine", "native"])
def test_graphs_in_the_layout_of_gpus(nchw, onednn, by):
    native = {"TF_TRT_ABORT_CUDA_ENGINE_BUILD": "1"} if by == "native" else {ONLY_ENGINES: "false"}
    folder = nchw / f"by_{by}_{onednn}"
    shutil.copytree(nchw / "converted", folder)
    if by == "native":
        for file in (folder / "assets").glob("*"):
            file.write_bytes(b"")
    output = run_python(NCHW, folder, nchw / "x.npy", nchw / "y.npy", TF_ENABLE_ONEDNN_OPTS=onednn, **native)
    refused = any("TensorFlow refuses" in line for line in told(output))
    assert refused == (by == "native" and onednn == "0"), output


CONVERTED_HERE = """
import os, sys
import numpy as np, tensorflow as tf
from tenon import trt_convert as trt
x, y = np.load(sys.argv[2]), np.load(sys.argv[3])
def check(function, count=2):
    np.testing.assert_allclose(next(iter(function(tf.constant(x[:count])).values())), y[:count], rtol=1e-3, atol=1e-3)
for dynamic in (False, True):
    converter = trt.TrtGraphConverterV2(input_saved_model_dir=sys.argv[1], use_dynamic_shape=dynamic)
    function = converter.convert()
    os.environ["TF_TRT_ABORT_CUDA_ENGINE_BUILD"] = "true"
    if not dynamic:
        check(function)
        check(function, 1)
    os.environ["TF_TRT_ABORT_CUDA_ENGINE_BUILD"] = "false"
    converter.build(lambda: iter([(x,)]))
    os.environ["TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION"] = "false"
    check(function)
    out = sys.argv[4] + str(dynamic)
    converter.save(out)
    check(tf.saved_model.load(out).signatures["serving_default"])
    os.environ["TF_TRT_ALLOW_ENGINE_NATIVE_SEGMENT_EXECUTION"] = "true"
"""


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_graphs_in_the_layout_of_gpus_are_converted_in_tensorflow(nchw, onednn, tmp_path):
    output = run_python(CONVERTED_HERE, nchw / "source", nchw / "x.npy", nchw / "y.npy", tmp_path / "out", TF_ENABLE_ONEDNN_OPTS=onednn)
    refused = sum("TensorFlow refuses" in line for line in told(output))
    assert refused == (2 if onednn == "0" else 0), output
