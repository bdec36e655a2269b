"""The report of a conversion as text, as JSON and as a page, with names that try to be more than text."""
import json
import re
import time

import numpy as np
import pytest

import tenon
from tenon.report import ConversionReport
from tenon_cli import tenon_command

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\u2028\x1b[2J\ud800"
NODES = [
    {"name": "x", "op": "Placeholder", "engine": "", "reason": "", "inputs": []},
    {"name": "a/kernel", "op": "Const", "engine": "E0", "reason": "", "inputs": []},
    {"name": "a/conv", "op": "Conv2D", "engine": "E0", "reason": "", "inputs": ["x", "a/kernel"]},
    {"name": "a/relu", "op": "Relu", "engine": "E0", "reason": "", "inputs": ["a/conv"]},
    {"name": "b/unique", "op": "Unique", "engine": "", "reason": "no kernel", "inputs": ["a/relu"]},
    {"name": "c/unique", "op": "Unique", "engine": "", "reason": "no kernel", "inputs": ["a/relu"]},
    {"name": "c/cast", "op": "Cast", "engine": "", "reason": "its segment is too small", "inputs": ["c/unique"]},
]
ENGINES = [{"name": "E0", "nodes": 3, "ops": {"Conv2D": 1, "Relu": 1, "Const": 1}, "input_types": ["float32"],
            "output_types": ["float32"], "input_shapes": [[None, 8, 8, 3]], "output_shapes": [(None, 8, 8, 4)]}]
LAYERS = [{"node": "a/conv", "op": "Conv2D", "kernel": "gemm", "shape": "[1,8,8,4]", "ms": 1.5, "engine": "E0",
           "merged": ["a/relu"]},
          {"node": "b/unique", "op": "Unique", "kernel": "reference", "shape": "[9]", "ms": 0.5, "engine": ""}]


@pytest.fixture
def report():
    report = ConversionReport({"seconds": 1.5, "converted_nodes": 3, "native_nodes": 4, "notes": ["a note"]}, NODES, ENGINES)
    report.add_layer_times(LAYERS)
    return report


def page_of(report, tmp_path, **options):
    report.save_html(tmp_path / "report.html", **options)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


# --- what it knows ---

def test_reasons_are_grouped_the_most_frequent_first(report):
    assert report.native == [{"op_type": "Unique", "reason": "no kernel", "nodes": ["b/unique", "c/unique"]},
                             {"op_type": "Cast", "reason": "its segment is too small", "nodes": ["c/cast"]}]


def test_each_native_node_that_needs_one_has_its_reason(report):
    assert report.reasons() == {"b/unique": "no kernel", "c/unique": "no kernel", "c/cast": "its segment is too small"}


def test_groups_of_the_conversion_stay(report):
    given = {"native": [{"op_type": "A", "reason": "r", "nodes": ["1"]}, {"op_type": "B", "reason": "s", "nodes": ["2", "3"]}]}
    found = ConversionReport(given, [], [])
    assert [group["op_type"] for group in found.native] == ["B", "A"]
    assert found.reasons() == {"1": "r", "2": "s", "3": "s"}


def test_both_descriptions_of_an_engine_become_one():
    report = ConversionReport({"engines": [{"name": "E0", "nodes": 3, "native_ms": 2.0, "engine_ms": 1.0}]}, NODES, ENGINES)
    assert len(report.engines) == 1
    assert report.engines[0]["native_ms"] == 2.0 and report.engines[0]["input_shapes"] == [[None, 8, 8, 3]]


def test_it_is_the_dictionary_that_it_was_made_of(report):
    assert report["seconds"] == 1.5 and report["notes"] == ["a note"] == report.notes and isinstance(report, dict)


def test_layer_times_come_as_dictionaries_or_objects(report):
    class Entry:
        node, op_type, kernel, shape, engine, seconds, merged = "a/conv", "Conv2D", "gemm", "[1]", "E0", 0.002, ("a/relu",)
    report.add_layer_times([Entry()])
    assert report.layers == [{"node": "a/conv", "op": "Conv2D", "kernel": "gemm", "shape": "[1]", "engine": "E0", "ms": 2.0,
                              "merged": ["a/relu"]}]
    report.layers = LAYERS
    assert [layer["ms"] for layer in report.layers] == [1.5, 0.5]


# --- text, JSON ---

def test_text_is_a_readable_table(report):
    lines = str(report).splitlines()
    assert lines[0].split() == ["engine", "nodes", "native", "ms", "engine", "ms", "speed-up", "ops"]
    assert lines[1].split() == ["E0", "3", "-", "-", "-", "Conv2D", "1x", "Relu", "1x"]
    assert "1 engine(s) hold 3 of 7 nodes" in lines
    assert "native: Unique 2x (b/unique, …): no kernel" in lines and "note: a note" in lines
    slowest = next(line for line in lines if line.endswith("a/conv"))
    assert slowest.split()[:2] == ["1.500", "75.0%"]


def test_text_of_a_report_without_anything():
    assert str(ConversionReport({})) == "0 engine(s) hold 0 of 0 nodes"


def test_json_has_everything(report):
    found = json.loads(report.to_json())
    assert found["seconds"] == 1.5 and found["layers"] == report.layers and found["engines"] == report.engines
    assert [node["name"] for node in found["nodes"]] == [node["name"] for node in NODES]
    assert json.loads(json.dumps(report))["native"] == report.native


def test_values_that_json_lacks_are_null():
    report = ConversionReport({"native_ms": float("nan"), "total_flops": np.float32(2), "shape": np.array([1, 2]), "n": np.int64(3)})
    found = json.loads(report.to_json())
    assert found["native_ms"] is None and found["total_flops"] == 2 and found["shape"] == [1, 2] and found["n"] == 3


# --- the page ---

def test_the_page_needs_nothing_else(report, tmp_path):
    page = page_of(report, tmp_path)
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:|//)""", page) and "@import" not in page
    assert "default-src 'none'" in page
    assert page.count("<script") == 2 and page.count("</script") == 2


def test_the_page_has_nodes_edges_reasons_and_times(report, tmp_path):
    data = data_of(page_of(report, tmp_path))
    names = [node[0] for node in data["nodes"]]
    assert names == [node["name"] for node in NODES]
    conv, unique = data["nodes"][2], data["nodes"][4]
    assert [names[i] for i in conv[4]] == ["x", "a/kernel"] and data["engines"][conv[2]]["name"] == "E0"
    assert data["reasons"][unique[3]] == "no kernel" and unique[2] == -1
    assert [[names[layer[0]], layer[4]] for layer in data["layers"]] == [["a/conv", 1.5], ["b/unique", 0.5]]
    assert [[op, data["reasons"][reason], [names[i] for i in ids]] for op, reason, ids in data["native"]] == \
        [["Unique", "no kernel", ["b/unique", "c/unique"]], ["Cast", "its segment is too small", ["c/cast"]]]


def test_hostile_names_stay_text(tmp_path):
    nodes = [{"name": HOSTILE, "op": HOSTILE, "engine": "", "reason": HOSTILE, "inputs": [HOSTILE]},
             {"name": "in", "op": HOSTILE, "engine": HOSTILE, "reason": "", "inputs": [HOSTILE]}]
    report = ConversionReport({"notes": [HOSTILE]}, nodes, [{"name": HOSTILE, "nodes": 1, "ops": {HOSTILE: 1}}])
    report.add_layer_times([{"node": HOSTILE, "op": HOSTILE, "kernel": HOSTILE, "shape": HOSTILE, "ms": 1, "engine": HOSTILE}])
    page = page_of(report, tmp_path, title=HOSTILE)
    assert page.count("<script") == 2 and page.count("</script") == 2 and "<img" not in page
    assert data_of(page)["nodes"][0][0] == HOSTILE
    assert "\x1b" not in str(report) and "\u2028" not in str(report)
    str(report).encode()


def test_nodes_of_one_name_in_two_parts_stay_apart(tmp_path):
    nodes = [{"name": "c", "op": "Const", "engine": engine, "reason": "", "inputs": []} for engine in ("", "E0", "E1")]
    nodes += [{"name": f"use{i}", "op": "Neg", "engine": engine, "reason": "", "inputs": ["c"]}
              for i, engine in enumerate(("", "E0", "E1"))]
    data = data_of(page_of(ConversionReport({}, nodes), tmp_path))
    assert [node[4] for node in data["nodes"][3:]] == [[0], [1], [2]]
    assert [engine["name"] for engine in data["engines"]] == ["E0", "E1"]


def test_without_nodes_the_page_has_what_the_lists_name(tmp_path):
    report = ConversionReport({"engines": [{"name": "E0", "nodes": 9}, {"name": "E1", "nodes": 5}],
                               "native": [{"op_type": "Unique", "reason": "no kernel", "nodes": ["u"]}]})
    report.add_layer_times(LAYERS[:1])
    data = data_of(page_of(report, tmp_path))
    assert [(node[0], node[2]) for node in data["nodes"]] == [("u", -1), ("a/conv", 0), ("E1", 1)]


def test_inputs_that_are_nowhere_are_left_out(tmp_path):
    nodes = [{"name": "a", "op": "Neg", "engine": "", "reason": "", "inputs": ["gone"]}]
    data = data_of(page_of(ConversionReport({}, nodes), tmp_path))
    assert data["nodes"][0][4] == []


def test_a_page_that_cannot_be_written_leaves_what_was_there(report, tmp_path):
    with pytest.raises(tenon.IoError, match="no-folder"):
        report.save_html(tmp_path / "no-folder" / "report.html")
    (tmp_path / "taken").mkdir()
    with pytest.raises(tenon.IoError, match="taken"):
        report.save_html(tmp_path / "taken")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken"]


def big_graph(blocks=280, convolutions=6):
    """Chains of convolutions with a sum after each block; every tenth block is native."""
    nodes, last = [{"name": "x", "op": "Placeholder", "engine": "", "reason": "", "inputs": []}], "x"

    def add(name, op, inputs, engine, reason):
        reason = "" if engine or op == "Const" else reason
        nodes.append({"name": name, "op": op, "engine": engine, "reason": reason, "inputs": inputs})
        return name
    for block in range(blocks):
        engine = "" if block % 10 == 9 else f"TRTEngineOp_000_{block // 10:03d}"
        scope, start = f"model/stage{block // 8}/block{block}", last
        for i in range(convolutions):
            kernel = add(f"{scope}/conv{i}/kernel", "Const", [], engine, "")
            last = add(f"{scope}/conv{i}/Conv2D", "Conv2D", [last, kernel], engine, "it is on the denylist")
            last = add(f"{scope}/conv{i}/Relu", "Relu", [last], engine, "its segment is too small")
        last = add(f"{scope}/add", "AddV2", [last, start], engine, "its segment is too small")
    return nodes


def test_thousands_of_nodes_are_a_small_file_soon(tmp_path):
    nodes = big_graph()
    assert len(nodes) > 5000
    start = time.monotonic()
    report = ConversionReport({}, nodes)
    report.add_layer_times({"node": node["name"], "op": node["op"], "ms": 0.1, "engine": node["engine"]} for node in nodes)
    page = page_of(report, tmp_path)
    assert time.monotonic() - start < 5
    assert len(page) < 2_000_000


# --- of a conversion ---

def test_converting_gives_such_a_report(digits, tmp_path):
    report = tenon.convert(digits, tmp_path / "out", min_gain=0, report=tmp_path / "report.json")
    assert isinstance(report, ConversionReport) and report == json.loads((tmp_path / "report.json").read_text())
    assert len(report.engines) == 1 and report.engines[0]["name"] in str(report)
    assert sum(1 for node in report.nodes if node["engine"]) == report["converted_nodes"]
    assert set(report.reasons()) == {name for group in report.native for name in group["nodes"]}
    names = {node["name"] for node in report.nodes}
    assert all(set(node["inputs"]) <= names for node in report.nodes)


def test_layers_of_a_profiled_run_are_nodes_of_the_report(digits, tmp_path):
    report = tenon.convert(digits, tmp_path / "out", min_gain=0)
    session = tenon.Session(tmp_path / "out")
    layers = session.profile({spec.name: np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in session.inputs})
    report.add_layer_times(layers)
    data = data_of(page_of(report, tmp_path))
    assert len(data["nodes"]) == len(report.nodes)
    assert [data["nodes"][layer[0]][0] if layer[0] >= 0 else "" for layer in data["layers"]] == [layer["node"] for layer in layers]
    assert sum(layer["ms"] for layer in layers) > 0 and any(layer["engine"] for layer in layers)


def test_the_times_of_the_command_are_taken_as_they_are(converted_digits):
    profile = json.loads(tenon_command("bench", converted_digits, "--profile", "--json", "--duration", 0.1).stdout)["profile"]
    report = ConversionReport({})
    report.add_layer_times(profile["layers"])
    assert sum(layer["ms"] for layer in report.layers) == pytest.approx(profile["total_ms"])
