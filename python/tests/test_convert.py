"""What conversion writes, read by TensorFlow: names, signatures, and native segments that compute the same."""
import os

import numpy as np
import pytest

import tenon
from test_bad_input import MLP, X, convert, node, run, write_model, FLOAT

tf = pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")
OWN_OPS = {"TRTEngineOp", "CreateTRTResourceHandle", "InitializeTRTResource"}


@pytest.fixture
def converted(tmp_path):
    convert(write_model(tmp_path / "model", MLP + node("more", "Exp", ("m1",), FLOAT), {"y": "y:0", "more": "more:0"}), tmp_path / "out",
            op_denylist=["Exp"])
    return str(tmp_path / "out")


def meta_graph(path):
    from tensorflow.core.protobuf import saved_model_pb2
    message = saved_model_pb2.SavedModel()
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        message.ParseFromString(file.read())
    return message.meta_graphs[0]


def test_tensorflow_knows_every_other_op(converted):
    graph = meta_graph(converted).graph_def
    ops = [n for n in graph.node] + [n for f in graph.library.function for n in f.node_def]
    assert {n.op for n in ops} & OWN_OPS == OWN_OPS
    for n in ops:
        if n.op not in OWN_OPS:
            assert tf.raw_ops.__dict__.get(n.op) is not None or n.op in ("Const", "Placeholder", "NoOp"), n.op
    names = [n.name for n in graph.node]
    assert len(names) == len(set(names))
    known = set(names)
    for n in graph.node:
        for i in n.input:
            assert i.lstrip("^").split(":")[0] in known, (n.name, i)


def test_signatures_stay_to_the_letter(converted):
    signature = meta_graph(converted).signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert signature.inputs["x"].name == "x:0" and [d.size for d in signature.inputs["x"].tensor_shape.dim] == [-1, 4]
    assert signature.outputs["y"].name == "y:0" and signature.outputs["more"].name == "more:0"
    assert [a.filename for a in meta_graph(converted).asset_file_def] == \
        ["trt-serialized-engine.TRTEngineOp_000_%03d" % i for i in range(len(tenon.Session(converted).engines))]


def test_native_segments_run_in_tensorflow(converted):
    graph = meta_graph(converted).graph_def
    expected = tenon.Session(converted, native=True).run({"x": X})
    replaced = tf.compat.v1.GraphDef()
    replaced.CopyFrom(graph)
    del replaced.node[:]
    for n in graph.node:
        if n.op in ("CreateTRTResourceHandle", "InitializeTRTResource") or any(i.startswith("^") for i in n.input):
            continue
        copy = replaced.node.add()
        copy.CopyFrom(n)
        if n.op == "TRTEngineOp":
            copy.op = "PartitionedCall"
            copy.ClearField("attr")
            copy.attr["Tin"].list.type.extend(n.attr["InT"].list.type)
            copy.attr["Tout"].list.type.extend(n.attr["OutT"].list.type)
            copy.attr["f"].func.name = n.attr["segment_func"].func.name
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(replaced, name="")
        found = session.run({"y": "y:0", "more": "more:0"}, {"x:0": X})
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
