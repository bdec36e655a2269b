"""The tenon command: exit codes, JSON, refusals, inputs, and that it leaves nothing half-written."""
import json
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from tenon_cli import DIGITS, TENON, tenon_command

COMMANDS = ["convert", "run", "bench", "compare", "inspect", "ops"]


def refused(done, *words):
    """Exit code 1, and one clear message that has these words."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "tenon: " in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


# --- usage ---

def test_help_lists_every_command():
    done = tenon_command("--help")
    assert done.returncode == 0
    assert all(f"  {command} " in done.stdout for command in COMMANDS)
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_json_and_quiet(command):
    done = tenon_command(command, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout and "--quiet" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["run"], ["run", "--no-such-option", "x"], ["convert", "--output-dir", "x"],
                                       ["bench", "x", "--iterations", "0"], ["bench", "x", "--threads", "-1"], ["bench", "x", "--batch", "a"],
                                       ["bench", "x", "--iterations", "1", "--duration", "1"], ["compare", "only_one"], ["bench", "x", "--streams", "0"],
                                       ["compare", "x", "y", "--tolerance", "nan"], ["run", "x", "--seed", "a"], ["ops", "x"],
                                       ["convert", "--saved-model-dir", "x", "--output-dir", "y", "--min-gain", "-1"]])
def test_wrong_usage_is_2(arguments):
    done = tenon_command(*arguments)
    assert done.returncode == 2
    assert done.stderr and not done.stdout


def test_numbers_out_of_range_are_named():
    assert tenon_command("bench", "x", "--batch", "-1").stderr.startswith('--batch: wanted more than 0, found "-1"')


def test_help_says_what_is_taken_when_nothing_is_given():
    text = tenon_command("bench", "--help").stdout
    assert "--warmup W=3" in text and "--duration S=3" in text
    assert "--minimum-segment-size N=3" in tenon_command("convert", "--help").stdout


def test_version():
    done = tenon_command("--version")
    assert done.returncode == 0 and done.stdout.startswith("tenon 0.")


# --- results as JSON, and quiet ---

def as_json(*arguments):
    done = tenon_command(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_run_json(digits):
    result = as_json("run", digits, "--inputs", f"image={DIGITS}/images.npy")
    assert result["outputs"]["digit"]["shape"] == [360]
    assert result["outputs"]["name"]["dtype"] == "string"


def test_convert_json(digits, tmp_path):
    report = as_json("convert", "--saved-model-dir", digits, "--output-dir", tmp_path / "out", "--verify", "--report", tmp_path / "report.json")
    assert report["engines"][0]["name"] == "TRTEngineOp_000_000"
    assert {entry["op_type"] for entry in report["native"]} >= {"GatherV2"}
    assert all(entry["reason"] for entry in report["native"])
    assert {entry["output"] for entry in report["verification"]} == {"probabilities", "digit", "name"}
    assert json.loads((tmp_path / "report.json").read_text())["engines"] == report["engines"]


def test_bench_json(converted_digits):
    result = as_json("bench", converted_digits, "--iterations", 5, "--warmup", 1, "--batch", 2, "--profile")
    assert result["calls"] == 5
    assert 0 < result["min_ms"] <= result["median_ms"] <= result["p90_ms"] <= result["p99_ms"]
    assert any("conv2d" in layer["kernel"] and layer["node"] for layer in result["profile"]["layers"])
    assert result["engines"][0]["loaded"]


def test_bench_streams(digits):
    assert as_json("bench", digits, "--iterations", 3, "--streams", 3, "--threads", 1)["calls"] == 9


def test_compare_json(digits, converted_digits):
    result = as_json("compare", digits, converted_digits)
    assert result["equal"] and result["outputs"]["digit"]["within"]


def test_compare_says_1_when_models_differ(scale_model, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "saved_model.pbtxt").write_text((scale_model / "saved_model.pbtxt").read_text().replace("float_val: 3", "float_val: 4"))
    done = tenon_command("compare", scale_model, other, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["equal"] is False


def test_inspect_json(converted_digits):
    graph = as_json("inspect", converted_digits)["meta_graphs"][0]
    assert graph["tags"] == ["serve"]
    assert graph["ops"]["TRTEngineOp"] == 1


def test_inspect_reads_like_saved_model_cli(digits):
    text = tenon_command("inspect", digits).stdout
    assert "signature_def['serving_default']:" in text
    assert "inputs['image'] tensor_info:\n        dtype: DT_FLOAT\n        shape: (-1, 8, 8, 1)\n" in text


def test_inspect_stage(scale_model):
    assert "mul" in tenon_command("inspect", scale_model, "--stage", "import").stdout
    refused(tenon_command("inspect", scale_model, "--stage", "nonsense"), "nonsense")


def test_ops_json():
    assert {"Conv2D", "MatMul", "While"} <= {op["op"] for op in as_json("ops")}


def test_errors_are_json_too(tmp_path):
    done = tenon_command("inspect", tmp_path / "missing", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "not_found"
    assert "missing" in done.stderr


@pytest.mark.parametrize("command", ["run", "bench", "compare", "convert"])
def test_quiet_prints_no_chatter(command, scale_model, tmp_path):
    arguments = {"run": ["run", scale_model, "--random-inputs", "--output-dir", tmp_path / "o"],
                 "bench": ["bench", scale_model, "--iterations", 1],
                 "compare": ["compare", scale_model, scale_model],
                 "convert": ["convert", "--saved-model-dir", scale_model, "--output-dir", tmp_path / "c"]}[command]
    done = tenon_command(*arguments, "--quiet")
    assert done.returncode == 0
    assert done.stderr == ""
    assert (done.stdout == "") == (command != "bench")  # times are bench's result


# --- feeds ---

@pytest.fixture
def rows(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "all.npz", x=values)
    np.savez_compressed(tmp_path / "two.npz", first=values, second=-values)
    return values


def run_to(folder, *arguments):
    done = tenon_command("run", *arguments, "--output-dir", folder)
    assert done.returncode == 0, done.stderr
    return {path.stem: np.load(path) for path in folder.glob("*.npy")}


@pytest.mark.parametrize("feed,sign", [("x={}/x.npy", 1), ("{}/all.npz", 1), ("x={}/all.npz", 1), ("x={}/two.npz:second", -1)])
def test_inputs_come_from_npy_and_npz(scale_model, rows, tmp_path, feed, sign):
    results = run_to(tmp_path / "out", scale_model, "--inputs", feed.format(tmp_path))
    np.testing.assert_array_equal(results["y"], sign * 5 * rows)


def test_signature_key(scale_model, rows, tmp_path):
    results = run_to(tmp_path / "out", scale_model, "--signature-key", "triple", "--inputs", tmp_path / "all.npz")
    np.testing.assert_array_equal(results["y"], 3 * rows)


def test_unknown_signature_is_refused_with_those_that_exist(scale_model):
    refused(tenon_command("run", scale_model, "--signature-key", "nope", "--random-inputs"), "nope", "triple")


def test_tensors_of_the_graph_by_name(scale_model, frozen_graph, rows, tmp_path):
    for i, model in enumerate([scale_model, frozen_graph]):
        results = run_to(tmp_path / f"out{i}", model, "--inputs", f"x:0={tmp_path}/x.npy", "--outputs", "double:0,split:2")
        np.testing.assert_array_equal(results["double_0"], 2 * rows)
        np.testing.assert_array_equal(results["split_2"], rows[:, 2])


def test_intermediate_tensors_can_be_fed(frozen_graph, rows, tmp_path):
    results = run_to(tmp_path / "out", frozen_graph, "--inputs", f"double={tmp_path}/x.npy", f"triple={tmp_path}/x.npy", "--outputs", "both")
    np.testing.assert_array_equal(results["both"], 2 * rows)


def test_frozen_graph_finds_its_inputs_and_outputs(frozen_graph, rows, tmp_path):
    results = run_to(tmp_path / "out", frozen_graph, "--inputs", f"x={tmp_path}/x.npy")
    np.testing.assert_array_equal(next(v for k, v in results.items() if k.startswith("both")), 5 * rows)


@pytest.mark.parametrize("feed,words", [
    ("z={}/x.npy", ["z"]),                                   # unknown name
    ("x={}/nothing.npy", ["nothing.npy"]),                   # no such file
    ("x={}/two.npz", ["two.npz", "first"]),                  # which of the two arrays?
    ("{}/x.npy", ["name=file.npy"]),
    ("x={}/wide.npy", ["x"]), ("x={}/flat.npy", ["x"]), ("x={}/double.npy", ["float64"]),
    ("x={}/pickled.npy", ["pickle"]), ("x={}/short.npy", ["short.npy"]), ("x={}/junk.npy", ["junk.npy"])])
def test_bad_feeds_are_refused(scale_model, rows, tmp_path, feed, words):
    np.save(tmp_path / "wide.npy", np.zeros((2, 4), np.float32))
    np.save(tmp_path / "flat.npy", np.zeros(3, np.float32))
    np.save(tmp_path / "double.npy", rows.astype(np.float64))
    np.save(tmp_path / "pickled.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    (tmp_path / "short.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-4])
    (tmp_path / "junk.npy").write_bytes(b"this is no array")
    if "two.npz" in feed:
        words = ["two.npz"]
    refused(tenon_command("run", scale_model, "--inputs", feed.format(tmp_path)), *words)


def test_a_missing_feed_is_named(scale_model):
    refused(tenon_command("run", scale_model), "x")


def test_random_inputs_depend_on_the_seed_alone(scale_model, tmp_path):
    def result(name, seed):
        return run_to(tmp_path / name, scale_model, "--random-inputs", "--seed", seed, "--shapes", "x:4x3")["y"]
    a, b, c = result("a", 1), result("b", 1), result("c", 2)
    assert a.shape == (4, 3)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_strings_go_in_and_out(identity_model, tmp_path):
    model = identity_model("DT_STRING")
    texts = np.array(["a", "grün", ""])
    np.save(tmp_path / "texts.npy", texts)
    results = run_to(tmp_path / "out", model, "--inputs", f"x={tmp_path}/texts.npy")
    assert [v.decode() for v in results["y"]] == list(texts)


# --- what convert writes, and when it refuses ---

def convert(model, output, *more):
    return tenon_command("convert", "--saved-model-dir", model, "--output-dir", output, *more)


def test_existing_output_needs_force(digits, scale_model, tmp_path):
    before = (scale_model / "saved_model.pbtxt").read_text()
    refused(convert(digits, scale_model), "--force")
    assert (scale_model / "saved_model.pbtxt").read_text() == before
    assert convert(digits, scale_model, "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scale"]
    assert (scale_model / "saved_model.pb").exists() and not (scale_model / "saved_model.pbtxt").exists()


def test_force_never_replaces_what_is_no_model(digits, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    refused(convert(digits, tmp_path / "mine", "--force"), "not replaced")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/../scale", "{}/inside"])
def test_output_must_not_be_the_input(scale_model, spelling):
    before = (scale_model / "saved_model.pbtxt").read_text()
    refused(convert(scale_model, spelling.format(scale_model), "--force"))
    assert [path.name for path in scale_model.iterdir()] == ["saved_model.pbtxt"]
    assert (scale_model / "saved_model.pbtxt").read_text() == before


def test_output_must_not_be_a_link_to_the_input(scale_model, tmp_path):
    (tmp_path / "link").symlink_to(scale_model)
    refused(convert(scale_model, tmp_path / "link", "--force"))
    assert (scale_model / "saved_model.pbtxt").exists()


def test_unwritable_output_is_refused(scale_model, tmp_path):
    (tmp_path / "file").write_text("")
    refused(convert(scale_model, tmp_path / "file" / "out"))
    refused(convert(scale_model, "/proc/no/such/place"))
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        refused(convert(scale_model, tmp_path / "locked" / "out"))


def test_signature_keys_restrict(scale_model, tmp_path):
    done = convert(scale_model, tmp_path / "out", "--signature-key", "double", "--signature-key", "triple")
    assert done.returncode == 0, done.stderr
    text = tenon_command("inspect", tmp_path / "out").stdout
    assert "['double']" in text and "['triple']" in text and "['serving_default']" not in text
    refused(convert(scale_model, tmp_path / "other", "--signature-key", "nope"), "nope")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("option,value", [("--precision", "FP99"), ("--shapes", "image"), ("--shapes", "image:1x-8x8x1"), ("--shapes", "image:axb"),
                                          ("--shapes", "nothing:1x8x8x1"), ("--shapes", "image:1x9x8x1"), ("--tags", "nope"),
                                          ("--minimum-segment-size", "0")])
def test_bad_options_are_refused(digits, tmp_path, option, value):
    done = convert(digits, tmp_path / "out", option, value)
    assert done.returncode in (1, 2), done.stdout
    assert done.stderr
    assert not (tmp_path / "out").exists()


def test_no_engines_when_asked(digits, tmp_path):
    assert as_json("convert", "--saved-model-dir", digits, "--output-dir", tmp_path / "none", "--minimum-segment-size", -1)["engines"] == []


def test_denied_ops_stay_native(digits, tmp_path):
    report = as_json("convert", "--saved-model-dir", digits, "--output-dir", tmp_path / "out", "--op-denylist", "MaxPool,Softmax", "--min-gain", 0)
    native = {entry["op_type"]: entry["reason"] for entry in report["native"]}
    assert "MaxPool" in native and "Softmax" in native
    assert all("MaxPool" not in engine["ops"] for engine in report["engines"])


def test_a_timing_cache_makes_conversions_repeatable(digits, tmp_path):
    folders = [tmp_path / name for name in ("a", "b")]
    assert convert(digits, tmp_path / "first", "--timing-cache", tmp_path / "cache", "--min-gain", 0).returncode == 0
    for folder in folders:
        assert convert(digits, folder, "--timing-cache", tmp_path / "cache", "--min-gain", 0).returncode == 0
    names = sorted(str(path.relative_to(folders[0])) for path in folders[0].rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(folders[1])) for path in folders[1].rglob("*") if path.is_file())
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_converting_a_converted_model_or_a_graph_is_clear(converted_digits, frozen_graph, tmp_path):
    refused(convert(frozen_graph, tmp_path / "out"), "frozen graph")
    again = convert(converted_digits, tmp_path / "again")
    assert again.returncode in (0, 1) and (again.returncode == 0 or "tenon: " in again.stderr)


def test_a_damaged_engine_is_rebuilt_with_one_line(converted_digits, tmp_path):
    folder = tmp_path / "damaged"
    subprocess.run(["cp", "-r", converted_digits, folder], check=True)
    plan = next((folder / "assets").glob("trt-serialized-engine.*"))
    content = bytearray(plan.read_bytes())
    content[len(content) // 2] ^= 0xFF
    plan.write_bytes(content)
    done = tenon_command("compare", converted_digits, folder)
    assert done.returncode == 0, done.stdout
    assert len(done.stderr.splitlines()) == 1 and "TRTEngineOp_000_000" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_conversions_leave_a_whole_model_or_none(digits, tmp_path, number):
    output = tmp_path / "out"
    generator = random.Random(int(number))
    longest = 1.0
    for _ in range(12):
        started = time.monotonic()
        process = subprocess.Popen([TENON, "convert", "--saved-model-dir", str(digits), "--output-dir", str(output), "--force", "--quiet"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(generator.uniform(0, longest))
            longest = max(0.02, min(longest, 1.2 * (time.monotonic() - started)))  # most kills shall hit a running conversion
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            process.wait(60)
        if output.exists():
            done = tenon_command("compare", digits, output)
            assert done.returncode == 0, done.stdout + done.stderr
    assert convert(digits, output, "--force").returncode == 0
    assert tenon_command("compare", digits, output).returncode == 0
    if number == signal.SIGTERM:
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
