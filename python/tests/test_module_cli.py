"""`python -m tenon` is the command."""
import os
import signal
import subprocess
import sys
import time

import pytest

from tenon_cli import DIGITS, TENON


def module_command(*arguments, **more):
    return subprocess.run([sys.executable, "-m", "tenon", *map(str, arguments)], capture_output=True, timeout=120, check=False, **more)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["convert", "--help"], ["frobnicate"], ["inspect", "/nowhere", "--json"],
                                       ["inspect", DIGITS / "model", "--json"]])
def test_module_prints_and_exits_as_the_command_does(arguments):
    done, wanted = module_command(*arguments), subprocess.run([TENON, *map(str, arguments)], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (wanted.returncode, wanted.stdout, wanted.stderr)


def test_module_passes_its_input_and_arguments_on_as_they_are(tmp_path):
    done = module_command("inspect", tmp_path / "a b '\"$x ü", "--json")
    assert done.returncode == 1 and "a b '\"$x ü".encode() in done.stderr


def test_ctrl_c_ends_it_without_a_traceback():
    arguments = ["bench", DIGITS / "model", "--duration", "60", "--quiet"]
    with subprocess.Popen([sys.executable, "-m", "tenon", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) != "tenon" and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT and b"Traceback" not in errors
