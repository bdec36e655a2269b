"""The command under test, and where things are."""
import os
import pathlib
import pty
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TENON = os.environ.get("TENON_CLI", str(ROOT / "build" / "tenon"))
DIGITS = ROOT / "examples" / "digits"


def tenon_command(*arguments, timeout=120, **more):
    """Runs the command and returns the finished process (returncode, stdout, stderr as text)."""
    return subprocess.run([TENON, *map(str, arguments)], **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}, text=True,
                          timeout=timeout, check=False)


def open_terminal():
    """Both ends of a pseudo terminal; skips the test on a system that has none (no /dev/pts)."""
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"this system has no pseudo terminals: {error}")
