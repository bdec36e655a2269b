"""What a conversion keeps, restricts and drops. Needs no TensorFlow."""
import os
import shutil

import numpy as np
import pytest

import tenon
import wire
from tenon_cli import DIGITS, tenon_command

# Field numbers of SavedModel, MetaGraphDef, GraphDef, NodeDef, SignatureDef.
META_GRAPH, INFO, GRAPH, NODE, LIBRARY, SIGNATURE = 2, 1, 2, 1, 2, 5
UNKNOWN = 2047


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


@pytest.fixture
def model(tmp_path):
    """A copy of the digits model, to be changed."""
    shutil.copytree(DIGITS / "model", tmp_path / "model")
    return tmp_path / "model"


def change_graph(model, path, change):
    data = read(model / "saved_model.pb")
    (model / "saved_model.pb").unlink()
    write(model / "saved_model.pb", wire.edited(data, path, change))


def convert(model, tmp_path, name="converted", **options):
    report = tenon.convert(str(model), str(tmp_path / name), **{"min_gain": 0, **options})
    return tmp_path / name, report


def test_the_other_files_are_kept_or_their_loss_is_said(model, tmp_path):
    write(model / "assets.extra" / "tf_serving_warmup_requests", b"requests")
    write(model / "assets.extra" / "deep" / "more", b"\0\1\2")
    write(model / "keras_metadata.pb", b"x")
    write(model / "debug" / "saved_model_debug_info.pb", b"x")
    write(model / "notes.txt", b"x")
    converted, report = convert(model, tmp_path)
    assert read(converted / "assets.extra" / "tf_serving_warmup_requests") == b"requests"
    assert read(converted / "assets.extra" / "deep" / "more") == b"\0\1\2"
    assert sorted(os.listdir(converted)) == ["assets", "assets.extra", "saved_model.pb", "variables"]
    notes = "\n".join(report["notes"])
    for name in ["keras_metadata.pb", "debug/", "fingerprint.pb", "notes.txt"]:
        assert f"not carried over: {name}" in notes
    said = tenon_command("convert", "--saved-model-dir", model, "--output-dir", tmp_path / "again", "--min-gain", 0).stdout
    assert "not carried over: keras_metadata.pb" in said


def test_variables_are_the_same_bytes(model, tmp_path):
    converted, _ = convert(model, tmp_path)
    for name in os.listdir(model / "variables"):
        assert read(converted / "variables" / name) == read(model / "variables" / name)


def test_fields_that_nobody_knows_are_kept(model, tmp_path):
    places = {b"of the model": [], b"of the meta graph": [META_GRAPH], b"of its info": [META_GRAPH, INFO], b"of the graph": [META_GRAPH, GRAPH],
              b"of a node": [META_GRAPH, GRAPH, NODE], b"of the library": [META_GRAPH, GRAPH, LIBRARY]}
    for mark, path in places.items():
        change_graph(model, path, lambda message: message + wire.field(UNKNOWN, mark))
    converted, _ = convert(model, tmp_path)
    data = read(converted / "saved_model.pb")
    for mark, path in places.items():
        assert mark in wire.contents(data, *path, UNKNOWN), (mark, path)


def test_signatures_are_the_same_bytes(model, tmp_path):
    change_graph(model, [META_GRAPH, SIGNATURE, 2], lambda message: message + wire.field(UNKNOWN, b"of a signature"))
    converted, _ = convert(model, tmp_path)

    def signatures(folder):
        return {wire.contents(entry, 1)[0]: wire.contents(entry, 2)[0] for entry in wire.contents(read(folder / "saved_model.pb"), META_GRAPH, SIGNATURE)}
    before, after = signatures(model), signatures(converted)
    assert after[b"serving_default"] == before[b"serving_default"]
    assert b"of a signature" in b"".join(after.values())


@pytest.fixture
def two_graphs(model):
    """A second meta graph, tags train and gpu, that has a signature of its own and an op that nobody knows."""
    train = wire.field(INFO, wire.field(4, b"train") + wire.field(4, b"gpu")) + \
        wire.field(GRAPH, wire.field(NODE, wire.field(1, b"strange") + wire.field(2, b"NoSuchOp")) +
                   wire.field(NODE, wire.field(1, b"x") + wire.field(2, b"Placeholder") + wire.field(5, wire.field(1, b"dtype") + wire.field(2, b"\x30\x01"))) +
                   wire.field(NODE, wire.field(1, b"y") + wire.field(2, b"Neg") + wire.field(3, b"x") +
                              wire.field(5, wire.field(1, b"T") + wire.field(2, b"\x30\x01")))) + \
        wire.field(SIGNATURE, wire.field(1, b"negate") + wire.field(2, wire.field(1, wire.field(1, b"x") + wire.field(2, wire.field(1, b"x:0") + b"\x10\x01")) +
                                                                   wire.field(2, wire.field(1, b"y") + wire.field(2, wire.field(1, b"y:0") + b"\x10\x01")))) + \
        wire.field(UNKNOWN, b"kept")
    change_graph(model, [], lambda message: message + wire.field(META_GRAPH, train))
    return model, train


def test_other_meta_graphs_are_kept_byte_for_byte(two_graphs, tmp_path):
    model, train = two_graphs
    converted, report = convert(model, tmp_path, tags="serve")
    assert len(report["engines"]) == 1
    graphs = wire.contents(read(converted / "saved_model.pb"), META_GRAPH)
    assert len(graphs) == 2 and graphs[1] == train


def test_tags_choose_the_meta_graph(two_graphs, tmp_path):
    model, _ = two_graphs
    x = np.array([1, -2], np.float32)
    for tags in (["train", "gpu"], ("gpu", "train")):
        np.testing.assert_array_equal(tenon.Session(str(model), tags=tags).run({"x": x})["y"], -x)
    assert tenon.Session(str(model)).signature_keys == tenon.Session(str(model), tags="serve").signature_keys
    with pytest.raises(tenon.NotFound, match="serve"):
        tenon.Session(str(model), tags=["train"])
    serve = wire.contents(read(model / "saved_model.pb"), META_GRAPH)[0]
    converted, report = convert(model, tmp_path, tags=["train", "gpu"], minimum_segment_size=1)
    assert [engine["ops"] for engine in report["engines"]] == [{"Neg": 1}]
    assert wire.contents(read(converted / "saved_model.pb"), META_GRAPH)[0] == serve
    np.testing.assert_array_equal(tenon.Session(str(converted), tags=["train", "gpu"]).run({"x": x})["y"], -x)
    done = tenon_command("run", converted, "--tags", "gpu,train", "--random-inputs", "--shapes", "x:2", "--json")
    assert done.returncode == 0, done.stderr
    done = tenon_command("convert", "--saved-model-dir", model, "--output-dir", tmp_path / "no", "--tags", "gpu")
    assert done.returncode == 1 and "train" in done.stderr and not (tmp_path / "no").exists()


def test_signature_keys_restrict(scale_model, tmp_path):
    for keys, kept in [("double", ["double"]), (["triple", "double"], ["double", "triple"]), (None, ["double", "serving_default", "triple"])]:
        converted, _ = convert(scale_model, tmp_path, "-".join(keys or ["all"]), signature_key=keys, minimum_segment_size=1)
        session = tenon.Session(str(converted))
        assert sorted(session.signature_keys) == kept
        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        for key in kept:
            factor = {"double": 2, "triple": 3, "serving_default": 5}[key]
            np.testing.assert_array_equal(session.run({"x": x}, signature_key=key)["y"], factor * x)
    with pytest.raises(tenon.NotFound, match="nope"):
        convert(scale_model, tmp_path, "nope", signature_key=["double", "nope"])
    assert not (tmp_path / "nope").exists()


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(where, file)) for where, _, files in os.walk(folder) for file in files)


def test_converted_resnet50_is_hardly_more_than_twice_as_large(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow-cpu")
    network = tf.keras.applications.ResNet50(weights=None)
    network.export(str(tmp_path / "resnet"), verbose=False)
    converted, report = convert(tmp_path / "resnet", tmp_path, signature_key="serving_default")
    assert len(report["engines"]) == 1
    assert folder_bytes(converted) <= 2.1 * folder_bytes(tmp_path / "resnet")
