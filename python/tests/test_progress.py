"""Progress of long steps: a bar on a terminal, lines elsewhere, and a clean terminal whatever happens."""
import io
import os
import subprocess
import sys
import types

import pytest
from tenon_cli import open_terminal

from tenon import progress as progress_module
from tenon.progress import progress

STEPS = """
import sys, time
for name in sys.argv[2:]:
    sys.modules[name] = None
from tenon.progress import progress
try:
    with progress("Converting") as bar:
        for i in range(5):
            bar.update(i / 4, "timing kernels: conv[bold]%d" % i)
            time.sleep(0.12)
        if sys.argv[1] != "done":
            raise getattr(__builtins__, sys.argv[1])
except BaseException:
    pass
sys.stderr.write("AFTER\\n")
"""
BARS = {"rich": [], "tqdm": ["rich"]}


def on_terminal(end, hidden, **environment):
    """What a script writes to a terminal, where `hidden` packages are not installed."""
    leader, follower = open_terminal()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    process = subprocess.Popen([sys.executable, "-c", STEPS, end, *hidden], stdin=follower, stdout=follower, stderr=follower,
                               env=environment)
    os.close(follower)
    written = b""
    while True:
        try:
            more = os.read(leader, 1 << 16)
        except OSError:
            break
        if not more:
            break
        written += more
    os.close(leader)
    assert process.wait(60) == 0
    return written.decode(errors="replace")


def screen(written):
    """The lines of a terminal after this has been written, as far as bars use it."""
    lines, row, column, i = [""], 0, 0, 0
    while i < len(written):
        if written.startswith("\x1b[", i):
            end = i + 2
            while not written[end].isalpha():
                end += 1
            number, kind = written[i + 2:end], written[end]
            if kind == "A":
                row = max(0, row - int(number or 1))
            elif kind == "K":
                lines[row] = "" if number == "2" else lines[row][:column]
            i = end + 1
            continue
        letter = written[i]
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        else:
            lines[row] = lines[row].ljust(column)[:column] + letter + lines[row][column + 1:]
            column += 1
        i += 1
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("package", BARS)
def test_a_terminal_shows_a_bar_that_stays_when_done(package):
    pytest.importorskip(package)
    written = on_terminal("done", BARS[package])
    assert written.count("Converting") > 2 and "conv[bold]" in written
    lines = screen(written)
    assert "Converting" in lines[0] and "100%" in lines[0] and "AFTER" in lines


@pytest.mark.parametrize("package", BARS)
@pytest.mark.parametrize("end", ["KeyboardInterrupt", "ValueError"])
def test_an_exception_leaves_the_terminal_clean(package, end):
    pytest.importorskip(package)
    written = on_terminal(end, BARS[package])
    assert [line for line in screen(written) if line] == ["AFTER"]
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # the cursor is shown again


def test_without_packages_a_terminal_gets_lines():
    assert "Converting:   0% timing kernels: conv[bold]0" in screen(on_terminal("done", ["rich", "tqdm"]))[0]


def test_a_dumb_terminal_gets_lines():
    assert "\x1b" not in on_terminal("done", [], TERM="dumb")


def test_a_notebook_gets_a_bar_that_it_can_draw(monkeypatch):
    """Of rich only with widgets, which it needs to redraw there; a text bar of tqdm else."""
    pytest.importorskip("tqdm")
    shell = type("ZMQInteractiveShell", (), {})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=shell))
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("Converting") as bar:
        bar.update(0.5, "timing: a")
    assert "Converting:  50%|" in stream.getvalue()


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def lines_of(monkeypatch, steps, stream=None, **options):
    stream, clock = stream or io.StringIO(), Clock()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress_module, "time", clock)
    with progress("Converting", **options) as bar:
        for clock.now, fraction, text in steps:
            bar.update(fraction, text)
    return stream.getvalue().splitlines() if isinstance(stream, io.StringIO) else None


def test_elsewhere_a_line_per_step_and_second(monkeypatch):
    steps = [(10.0, 0.0, "reading"), (10.1, 0.1, "timing: a"), (10.2, 0.2, "timing: b"), (11.5, 0.5, "timing: c"),
             (11.6, 0.6, "timing: d"), (11.7, 0.9, "writing"), (20.0, 0.95, "writing")]
    assert lines_of(monkeypatch, steps) == ["Converting:   0% reading", "Converting:  10% timing: a", "Converting:  50% timing: c",
                                            "Converting:  90% writing"]


def test_quiet_is_silent(monkeypatch):
    assert lines_of(monkeypatch, [(1.0, 0.5, "reading")], quiet=True) == []


def test_hostile_text_stays_on_its_line(monkeypatch):
    assert lines_of(monkeypatch, [(1.0, 0.5, "node \x1b[2J\nb\u202e")]) == ["Converting:  50% node \\x1b[2J\\nb\\u202e"]


def test_fractions_never_go_back_or_beyond(monkeypatch):
    steps = [(1.0, 0.5, "a"), (2.0, 0.2, "b"), (3.0, 7.0, "c"), (4.0, float("nan"), "d")]
    assert [line.split()[1] for line in lines_of(monkeypatch, steps)] == ["50%", "50%", "100%", "100%"]


def test_a_stream_that_cannot_be_written_does_not_end_the_work(monkeypatch):
    class Full(io.TextIOBase):
        def write(self, text):
            raise OSError(28, "No space left on device")
    lines_of(monkeypatch, [(1.0, 0.5, "a"), (3.0, 0.6, "b")], stream=Full())
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    with progress("Converting") as bar:
        bar.update(0.5, "a")
    monkeypatch.setattr(sys, "stderr", None)
    with progress("Converting") as bar:
        bar.update(0.5, "a")


def test_an_ascii_stream_gets_what_it_can_write(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    lines_of(monkeypatch, [(1.0, 0.5, "größe")], stream=stream)
    assert stream.buffer.getvalue() == b"Converting:  50% gr??e\n"
