"""Where the command writes: full disks, folders that cannot be written, closed output, progress, and one JSON document alone."""
import json
import os
import resource
import shlex
import shutil
import subprocess
import tempfile

import numpy as np
import pytest

from tenon_cli import DIGITS, TENON, open_terminal, tenon_command


def limited(size):
    """For a child: no file may grow beyond `size` bytes, as on a disk that is full then."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def failed(done, *words):
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    messages = [line for line in done.stderr.splitlines() if line.startswith("tenon: ")]
    assert len(messages) == 1, done.stderr
    for word in words:
        assert word in messages[0], messages[0]


def convert(output, *more, **options):
    return tenon_command("convert", "--saved-model-dir", DIGITS / "model", "--output-dir", output, "--min-gain", 0, *more, **options)


# --- full disks ---

@pytest.mark.parametrize("size", [0, 100, 5_000, 61_000, 100_000])
def test_converting_onto_a_full_disk(tmp_path, size):
    (tmp_path / "out").mkdir()
    failed(convert(tmp_path / "out" / "digits", preexec_fn=limited(size)), "File too large")
    assert os.listdir(tmp_path / "out") == []


def test_a_full_disk_does_not_harm_what_is_replaced(converted_digits, tmp_path):
    shutil.copytree(converted_digits, tmp_path / "digits")
    failed(convert(tmp_path / "digits", "--force", preexec_fn=limited(50_000)), "File too large")
    assert os.listdir(tmp_path) == ["digits"]
    assert tenon_command("compare", DIGITS / "model", tmp_path / "digits").returncode == 0


def test_no_timing_cache_no_model(tmp_path):
    """The cache is written before the model, so that a failure leaves neither."""
    failed(convert(tmp_path / "out", "--timing-cache", tmp_path / "no" / "cache"), "timing cache", "no")
    failed(convert(tmp_path / "out", "--timing-cache", tmp_path / "cache", preexec_fn=limited(30)), "cache", "File too large")
    assert os.listdir(tmp_path) == []


def test_results_that_do_not_fit(tmp_path):
    for size in (0, 60, 1000):
        done = tenon_command("run", DIGITS / "model", "--inputs", f"image={DIGITS}/images.npy", "--outputs", "probabilities",
                             "--output-dir", tmp_path / "out", preexec_fn=limited(size))
        failed(done, "File too large")
        assert os.listdir(tmp_path / "out") == []


def test_an_old_result_survives_a_full_disk(tmp_path):
    np.save(tmp_path / "digit.npy", np.zeros(3))
    done = tenon_command("run", DIGITS / "model", "--random-inputs", "--outputs", "digit", "--output-dir", tmp_path, preexec_fn=limited(10))
    failed(done)
    assert os.listdir(tmp_path) == ["digit.npy"] and np.load(tmp_path / "digit.npy").shape == (3,)


def test_a_full_file_system(tmp_path):
    """The same on a real one, where this user may mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        failed(convert(disk / "digits"), "No space left")
        assert os.listdir(disk) == []
        done = tenon_command("run", DIGITS / "model", "--random-inputs", "--batch", 10_000, "--output-dir", disk)
        failed(done, "No space left")
        assert all(not name.startswith(".") and ".new" not in name for name in os.listdir(disk))
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("arguments", [["ops"], ["ops", "--json"], ["inspect", DIGITS / "model"], ["run", DIGITS / "model", "--random-inputs"],
                                       ["bench", DIGITS / "model", "--iterations", "1"], ["compare", DIGITS / "model", DIGITS / "model"]],
                         ids=lambda a: " ".join(map(str, a[::2])))
def test_standard_output_that_is_full(arguments):
    with open("/dev/full", "w") as full:
        done = tenon_command(*arguments, stdout=full)
    assert done.returncode == 1 and "standard output" in done.stderr, done.stderr


def test_standard_output_that_is_closed():
    read, write = os.pipe()
    os.close(read)
    done = tenon_command("ops", stdout=write)
    os.close(write)
    assert done.returncode == 1 and "standard output" in done.stderr


# --- folders that cannot be written ---

def test_a_folder_without_permission(tmp_path):
    """As a user who may not write there: root drops to nobody for it."""
    as_nobody = {}
    where = tempfile.mkdtemp()  # tmp_path is for its owner alone
    try:
        os.chmod(where, 0o755 if os.geteuid() == 0 else 0o555)
        if os.geteuid() == 0:
            shutil.copytree(DIGITS / "model", f"{where}/model")
            as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        model = f"{where}/model" if as_nobody else DIGITS / "model"
        try:
            readable = tenon_command("inspect", model, "--quiet", **as_nobody).returncode == 0
        except PermissionError:
            readable = False
        if not readable:
            pytest.skip("nobody cannot read this checkout")
        before = sorted(os.listdir(where))
        done = tenon_command("convert", "--saved-model-dir", model, "--output-dir", f"{where}/out", "--json", **as_nobody)
        failed(done, f"{where}/out")
        assert json.loads(done.stdout)["error"]["code"] == "io"
        failed(tenon_command("run", model, "--random-inputs", "--output-dir", f"{where}/results", **as_nobody), where)
        failed(tenon_command("convert", "--saved-model-dir", model, "--output-dir", "/tmp/tenon_never_made", "--report", f"{where}/report.json",
                             **as_nobody), "report")
        assert sorted(os.listdir(where)) == before and not os.path.exists("/tmp/tenon_never_made")
    finally:
        os.chmod(where, 0o755)
        shutil.rmtree(where)


def test_it_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for output, more in [(tmp_path / "file" / "out", []), (tmp_path / "out", ["--report", tmp_path / "no" / "report.json"]),
                         (tmp_path / "out", ["--report", tmp_path]), (tmp_path / "file", ["--force"]), (tmp_path, ["--force"])]:
        done = convert(output, *more)
        failed(done)
        assert "building" not in done.stderr
    assert os.listdir(tmp_path) == ["file"]


def test_devices_and_pipes_stay_what_they_are(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    done = convert(tmp_path / "out", "--report", tmp_path / "pipe", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(reader.communicate(timeout=60)[0])["engines"]
    assert sorted(os.listdir(tmp_path)) == ["out", "pipe"]


# --- one JSON document, alone ---

@pytest.mark.parametrize("arguments", [
    ["run", "MODEL", "--random-inputs"], ["run", "MODEL", "--random-inputs", "--output-dir", "TMP/out"], ["bench", "MODEL", "--iterations", "2", "--profile"],
    ["compare", "MODEL", "MODEL"], ["inspect", "MODEL"], ["inspect", "MODEL", "--stage", "import"], ["inspect", "MODEL", "--stage", "optimized"],
    ["ops"], ["ops", "--markdown"], ["convert", "--saved-model-dir", "MODEL", "--output-dir", "TMP/converted", "--verify"]], ids=" ".join)
@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
def test_json_is_all_that_is_printed(arguments, quiet, tmp_path):
    arguments = [a.replace("MODEL", str(DIGITS / "model")).replace("TMP", str(tmp_path)) for a in arguments]
    done = tenon_command(*arguments, "--json", *quiet)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [
    ["run", "MISSING"], ["bench", "MISSING"], ["compare", "MISSING", "MODEL"], ["compare", "MODEL", "MISSING"], ["inspect", "MISSING"],
    ["inspect", "MODEL", "--stage", "no"], ["convert", "--saved-model-dir", "MISSING", "--output-dir", "MISSING/out"],
    ["run", "MODEL"], ["bench", "MODEL", "--shapes", "image:3x3"], ["run", "MODEL", "--signature-key", "no"]], ids=" ".join)
@pytest.mark.parametrize("more", [[], ["--json"], ["--quiet"]], ids=["", "json", "quiet"])
def test_refusals_are_1_and_clear(arguments, more, tmp_path):
    arguments = [a.replace("MODEL", str(DIGITS / "model")).replace("MISSING", str(tmp_path / "missing")) for a in arguments]
    done = tenon_command(*arguments, *more)
    failed(done)
    if "--json" in more:
        assert json.loads(done.stdout)["error"]["message"]
    else:
        assert done.stdout == ""
    if "--quiet" in more:
        assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == []


# --- progress and the table ---

def test_progress_is_lines_where_there_is_no_terminal(tmp_path):
    done = convert(tmp_path / "out")
    lines = done.stderr.splitlines()
    assert "\r" not in done.stderr and "\033" not in done.stderr
    assert any("TRTEngineOp_000_000" in line for line in lines)
    assert lines[0].lstrip()[0].isdigit() and lines[-1] == "100% done"
    assert convert(tmp_path / "quiet", "--quiet").stderr == ""


def test_progress_is_a_bar_on_a_terminal(tmp_path):
    ours, theirs = open_terminal()
    process = subprocess.Popen([TENON, "convert", "--saved-model-dir", DIGITS / "model", "--output-dir", tmp_path / "out", "--min-gain", "0"],
                               stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:
        pass  # the other side is closed
    os.close(ours)
    assert process.wait(60) == 0
    assert b"\r[" in text and b"100%" in text and text.endswith(b"\n")


def test_the_table_says_what_was_gained(tmp_path):
    done = tenon_command("convert", "--saved-model-dir", DIGITS / "model", "--output-dir", tmp_path / "out", "--shapes", "image:8x8x8x1", "--verify")
    assert done.returncode == 0, done.stderr
    for words in ["TRTEngineOp_000_000", "Conv2D", "of FLOPs", "the whole model:", "in engines", "native: GatherV2", "verified serving_default/digit"]:
        assert words in done.stdout, done.stdout
    report = json.loads(tenon_command("convert", "--saved-model-dir", DIGITS / "model", "--output-dir", tmp_path / "json", "--json").stdout)
    assert report["native_ms"] > 0 and report["converted_ms"] > 0 and 0 < report["engine_time_share"] <= 1


def test_a_failed_conversion_can_be_repeated(tmp_path):
    (tmp_path / "out").mkdir()
    more = ["--tags", "serve", "--signature-key", "serving_default", "--op-denylist", "Softmax,Relu", "--shapes", "image:1x8x8x1", "--threads", "1", "--verify"]
    done = convert(tmp_path / "out", *more)
    failed(done, "exists")
    line = next(line for line in done.stderr.splitlines() if line.startswith("to repeat: tenon convert"))
    words = shlex.split(line.removeprefix("to repeat: tenon "))
    assert all(word in words for word in [*more, "--min-gain", "0"])
    failed(tenon_command(*words), "exists")
