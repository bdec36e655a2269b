"""What converters of tenon.trt_convert tell afterwards: the report and the summary, without TensorFlow and with it."""
import pytest

from trt_models import converter, model, negated, shapes_of, vector  # noqa: F401  (fixtures)
from trt_world import world  # noqa: F401  (a fixture)


def test_the_report_names_every_node_and_its_reason(world, negated, tmp_path):
    made = converter(negated)
    made.options.op_denylist = ["Neg"]
    made.convert()
    assert made.report.reasons().keys() == {"z"}
    places = {node["name"]: node["engine"] for node in made.report.nodes}
    assert places["double"] == "TRTEngineOp_000_000" and places["z"] == ""
    made.report.save_html(tmp_path / "report.html")
    assert "TRTEngineOp_000_000" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_report_has_the_times_of_layers_after_build(world, negated, dynamic):
    made = converter(negated, use_dynamic_shape=dynamic)
    made.convert()
    assert made.report.layers == []
    made.build(shapes_of(world, (2, 3)))
    assert sum(layer["ms"] for layer in made.report.layers) > 0
    assert {layer["engine"] for layer in made.report.layers} == {"TRTEngineOp_000_000"}
    assert {layer["node"] for layer in made.report.layers} <= {node["name"] for node in made.report.nodes}


def test_summary_prints_tf_trts_columns(world, vector):
    made = converter(vector)
    made.convert()
    lines = []
    made.summary(print_fn=lines.append)
    assert len(lines[0]) == 158 and lines[1] == "=" * 160
    assert lines[0].split("  ")[0] == "TRTEngineOP Name"
    for head, column in [("Device", 33), ("# Nodes", 47), ("# Inputs", 55), ("# Outputs", 69), ("Input DTypes", 83), ("Output Dtypes", 102),
                         ("Input Shapes", 121), ("Output Shapes", 140)]:
        assert lines[0][column:].startswith(head), head
    assert lines[2].split()[0] == "TRTEngineOp_000_000" and "device:CPU:0" in lines[2] and "['float32']" in lines[2] and "[[-1, -1]]" in lines[2]
    assert lines[3] == "" and "\t- Mul: 1x" in lines and lines[4:-3] == sorted(lines[4:-3])
    assert lines[-3] == "\n" + "=" * 160
    assert lines[-2] == "[*] Total number of TensorRT engines: 1"
    [engine] = made._model.engines
    total = engine["nodes"] + made._model.conversion.main_graph_nodes()
    assert lines[-1] == f"[*] % of OPs Converted: {100 * engine['nodes'] / total:.2f}% [{engine['nodes']}/{total}]\n"


def test_summary_separates_several_engines_and_sorts_them(world, negated, capsys):
    made = converter(negated, minimum_segment_size=1)
    made.options.op_denylist = ["AddV2"]
    made.convert()
    made.summary(line_length=200, detailed=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("-" * 40) == 2
    assert [line.split()[0] for line in lines if line.startswith("TRTEngineOp_")] == ["TRTEngineOp_000_000", "TRTEngineOp_000_001"]
    assert not any(line.startswith("\t") for line in lines)


def test_summary_cuts_what_is_too_long(world, tmp_path):
    made = converter(model(tmp_path / "model", [-1, -1, -1, -1], inputs=("a", "b", "c")), use_dynamic_shape=True)
    made.convert()
    lines = []
    made.summary(print_fn=lines.append)
    assert lines[2][:139].endswith(" ...")
