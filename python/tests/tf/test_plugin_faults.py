"""What can go wrong with an engine: TensorFlow answers all the same, or says what is wrong."""
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from plugin_models import ONLY_ENGINES, convert, make_model, need_shared, only_engines, run_python, save_frozen

import tenon.tensorflow


def lines(text):
    """What Tenon said to TensorFlow's log."""
    return [line for line in text.splitlines() if "Tenon:" in line]


@pytest.fixture
def fresh(tmp_path):
    """A model that no other test holds the engine of."""
    fresh.seed = getattr(fresh, "seed", 100) + 1
    return make_model(tmp_path, seed=fresh.seed)


def damage(model, how):
    for file in model.engines():
        if how == "deleted":
            file.unlink()
        elif how == "emptied":
            file.write_bytes(b"")
        elif how == "truncated":
            file.write_bytes(file.read_bytes()[:-1000])
        elif how == "text":
            file.write_text("not an engine\n" * 100)
        elif how == "flipped":
            content = bytearray(file.read_bytes())
            content[70] ^= 0xff
            file.write_bytes(content)


@pytest.mark.parametrize("how", ["deleted", "emptied", "truncated", "text", "flipped"])
def test_a_damaged_engine_is_built_again(fresh, how, monkeypatch, capfd):
    damage(fresh, how)
    call = fresh.load()
    only_engines(monkeypatch)
    fresh.check(call)
    fresh.check(call)
    told = lines(capfd.readouterr().err)
    assert len(told) == (0 if how == "emptied" else 1), told


@pytest.mark.parametrize("how", ["deleted", "truncated"])
def test_a_damaged_engine_that_cannot_be_built_runs_natively(fresh, how, monkeypatch, capfd):
    damage(fresh, how)
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "true")
    call = fresh.load()
    for _ in range(10):
        fresh.check(call)
    assert 1 <= len(lines(capfd.readouterr().err)) <= 3
    only_engines(monkeypatch)
    with pytest.raises(tf.errors.AbortedError, match="User disallowed engine native segment execution"):
        call(fresh.x)
    monkeypatch.setenv("TF_TRT_ABORT_CUDA_ENGINE_BUILD", "false")
    fresh.check(call)


OTHER_ISA = """
import sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
np.testing.assert_allclose(next(iter(signature(tf.constant(np.load(sys.argv[2]))).values())), np.load(sys.argv[3]), rtol=1e-4, atol=1e-5)
"""


def test_an_engine_of_another_instruction_set_is_built_again(model, tmp_path):
    np.save(tmp_path / "x.npy", model.x)
    np.save(tmp_path / "y.npy", model.y)
    output = run_python(OTHER_ISA, model.folder, tmp_path / "x.npy", tmp_path / "y.npy", TENON_MAX_CPU_ISA="SSE2", **{ONLY_ENGINES: "false"})
    assert len(lines(output)) == 1 and "TRTEngineOp" in lines(output)[0], output


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
    def forbid(graph):
        for node in engine_nodes(graph):
            node.attr["_allow_build_at_runtime"].b = False
    edit(fresh.folder, forbid)
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


def test_nodes_of_tf_trt_run_natively_at_once(fresh, monkeypatch, capfd):
    edit(fresh.folder, as_foreign)
    call = fresh.load()
    fresh.check(call)
    assert any("TENON_BUILD_FOREIGN_ENGINES" in line for line in lines(capfd.readouterr().err))
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


@pytest.mark.parametrize("build", [False, True])
def test_a_model_of_the_real_tf_trt(build, monkeypatch):
    folder = need_shared("tftrt_2.0/tftrt_2.0_saved_model")
    monkeypatch.setenv("TENON_BUILD_FOREIGN_ENGINES", "0")
    tenon.tensorflow.build_foreign_engines(build)
    only_engines(monkeypatch, build)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    ones = tf.ones((4, 1, 1))
    np.testing.assert_array_equal(signature(input1=ones, input2=ones)["output_0"], np.full((4, 1, 1), 5, np.float32))


def test_a_tf1_model_converted_in_memory_by_older_names(model):
    """A node whose segment stands in segment_funcdef_name, as TensorFlow 1 wrote it."""
    graph_def = tf.compat.v1.GraphDef()
    square = tf.function(lambda x: tf.square(x) + 1).get_concrete_function(tf.TensorSpec((None, 2), tf.float32))
    graph_def.library.function.add().CopyFrom(square.function_def)
    x = graph_def.node.add(name="x", op="Placeholder")
    x.attr["dtype"].type = tf.float32.as_datatype_enum
    node = graph_def.node.add(name="my_trt_op_0", op="TRTEngineOp", input=["x"])
    for name in ("InT", "OutT"):
        node.attr[name].list.type.append(tf.float32.as_datatype_enum)
    node.attr["segment_funcdef_name"].s = square.function_def.signature.name.encode()
    node.attr["serialized_segment"].s = b""
    node.attr["precision_mode"].s = b"FP32"
    node.attr["workspace_size_bytes"].i = 1
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        with session.graph.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
        result = session.run("my_trt_op_0:0", {"x:0": [[1, 2]]})
    np.testing.assert_array_equal(result, [[2, 5]])


NCHW = """
import sys
import numpy as np, tensorflow as tf, tenon.tensorflow
tenon.tensorflow.load()
signature = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
x, y = np.load(sys.argv[2]), np.load(sys.argv[3])
for _ in range(2):
    np.testing.assert_allclose(next(iter(signature(tf.constant(x)).values())), y, rtol=1e-3, atol=1e-4)
"""


@pytest.fixture(scope="module")
def nchw(tmp_path_factory):
    """A graph in the layout of GPUs: convolution, bias, pooling; its input and its output."""
    folder = tmp_path_factory.mktemp("nchw")
    random = np.random.default_rng(3)
    weights, bias = random.random((3, 3, 3, 8), dtype=np.float32), random.random(8, dtype=np.float32)

    def net(x, layout):
        y = tf.nn.conv2d(x, weights, 1, "SAME", data_format=layout)
        y = tf.nn.relu(tf.nn.bias_add(y, bias, data_format=layout))
        return tf.nn.max_pool2d(y, 2, 2, "VALID", data_format=layout)
    save_frozen(folder / "source", lambda x: net(x, "NCHW"), tf.TensorSpec((None, 3, 8, 8), tf.float32))
    convert(folder / "source", folder / "converted")
    x = random.random((2, 3, 8, 8), dtype=np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", tf.transpose(net(tf.transpose(x, [0, 2, 3, 1]), "NHWC"), [0, 3, 1, 2]))
    return folder


@pytest.mark.parametrize("onednn", ["0", "1"])
@pytest.mark.parametrize("by", ["engine", "native"])
def test_graphs_in_the_layout_of_gpus(nchw, onednn, by):
    native = {"TF_TRT_ABORT_CUDA_ENGINE_BUILD": "1"} if by == "native" else {ONLY_ENGINES: "false"}
    folder = nchw / "converted"
    if by == "native":
        for file in (folder / "assets").glob("*"):
            file.write_bytes(b"")
    output = run_python(NCHW, folder, nchw / "x.npy", nchw / "y.npy", TF_ENABLE_ONEDNN_OPTS=onednn, **native)
    refused = any(re.search("TensorFlow refuses", line) for line in lines(output))
    assert refused == (by == "native" and onednn == "0"), output
