"""Visible progress of long steps: a bar on a terminal or in a notebook, plain lines elsewhere."""
from __future__ import annotations

import math
import os
import shutil
import sys
import threading
import time
from typing import Any, Literal

from .text import printable

_MAX_TEXT = 100  # characters of a step that a bar shows
_LINE_SECONDS = 1.0


def _clean(text, stream):
    """`text` on one line, without what could steer a terminal, in characters that the stream can write."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    line = printable(text)
    try:
        return line.encode(encoding, "replace").decode(encoding, "replace")
    except LookupError:
        return line.encode("ascii", "replace").decode("ascii")


def _is_terminal(stream):
    try:
        return stream.isatty() and os.environ.get("TERM", "") != "dumb"
    except (AttributeError, ValueError):  # a stream that is none, or closed
        return False


def _is_notebook():
    """Whether this is a notebook's kernel; never imports IPython."""
    ipython = sys.modules.get("IPython")
    try:
        return ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"
    except AttributeError:
        return False


def _has_widgets():
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return False
    return True


class _Silent:
    def update(self, fraction, text):
        pass

    def close(self, failed):
        pass


class _Lines:
    """One line per step; within a step (its text up to a colon) at most one line per second."""

    def __init__(self, description, stream):
        self._description, self._stream = description, stream
        self._step, self._text, self._time = None, None, 0.0

    def update(self, fraction, text):
        step, now = text.split(":")[0], time.monotonic()
        if text == self._text or (step == self._step and now - self._time < _LINE_SECONDS):
            return
        self._step, self._text, self._time = step, text, now
        self._stream.write(f"{self._description}: {100 * fraction:3.0f}% {text}\n")
        self._stream.flush()

    def close(self, failed):
        pass


class _Rich:
    def __init__(self, description, stream, notebook):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.table import Column
        console = Console() if notebook else Console(file=stream)
        text = TextColumn("{task.fields[text]}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        self._bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
                             TimeRemainingColumn(), text, console=console, redirect_stdout=not notebook,
                             redirect_stderr=not notebook, expand=True)
        self._bar.start()
        self._task = self._bar.add_task(description, total=1.0, text="")

    def update(self, fraction, text):
        self._bar.update(self._task, completed=fraction, text=text[:_MAX_TEXT])

    def close(self, failed):
        self._bar.live.transient = failed  # a bar that did not get to its end is wiped off
        self._bar.stop()


class _Tqdm:
    def __init__(self, description, stream, notebook):
        size = {}
        if notebook and _has_widgets():
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
            columns, rows = shutil.get_terminal_size()  # of a terminal that does not know its size, too
            size = {"ncols": columns, "nrows": rows}
        self._bar = tqdm(desc=description, total=1.0, file=stream, **size,
                         bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}")

    def update(self, fraction, text):
        self._bar.set_postfix_str(text[:_MAX_TEXT], refresh=False)
        if not self._bar.update(fraction - self._bar.n):
            self._bar.refresh()

    def close(self, failed):
        self._bar.leave = not failed
        self._bar.close()


def _display(description, stream):
    """The best display that the stream and the installed packages allow."""
    notebook = _is_notebook()
    if notebook or _is_terminal(stream):
        kinds = [_Rich, _Tqdm] if not notebook or _has_widgets() else [_Tqdm]  # rich needs widgets to redraw in a notebook
        for kind in kinds:
            try:
                return kind(description, stream, notebook)
            except ImportError:
                continue
    return _Lines(description, stream)


class _Progress:
    """What `progress` returns: a context manager."""

    def __init__(self, description: str, quiet: bool) -> None:
        self._description, self._quiet = description, quiet
        self._display: Any = _Silent()
        self._stream: Any = None
        self._fraction = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> _Progress:
        self._stream = sys.stderr
        if not self._quiet and self._stream is not None:
            self._guarded(self._open)
        return self

    def _open(self):
        self._display = _display(_clean(self._description, self._stream), self._stream)

    def update(self, fraction: float, text: str) -> None:
        """Shows that `fraction` (0 to 1) is done and that `text` is being worked on. May be called from any thread; a
        fraction that is smaller than an earlier one counts as that one. Never raises because of the display."""
        with self._lock:
            if math.isfinite(fraction):
                self._fraction = max(self._fraction, min(1.0, float(fraction)))
            self._guarded(lambda: self._display.update(self._fraction, _clean(text, self._stream)))

    def __exit__(self, kind: object, value: object, trace: object) -> Literal[False]:
        with self._lock:
            self._guarded(lambda: self._display.close(failed=kind is not None))
            self._display = _Silent()
        return False

    def _guarded(self, show):
        """A display that cannot be written to (closed, a broken pipe, a full disk) must not end the work that it shows."""
        try:
            show()
        except (OSError, ValueError):
            self._display = _Silent()


def progress(description: str, quiet: bool = False) -> _Progress:
    """A context manager that shows how far a long step has got; its object has `update(fraction, text)`.

    On a terminal or in a notebook it is a bar with the time left, by rich or else tqdm where one is installed; elsewhere, and
    without them, plain lines: one per step, and at most one per second within a step. All of it goes to standard error; nothing
    with `quiet`. When the block is left by an exception, KeyboardInterrupt included, the bar is wiped off and the cursor is as
    it was.
    """
    return _Progress(description, quiet)
