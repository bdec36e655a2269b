"""Talks to a worker process: one job at a time; a process that dies fails the job and is started again for the next one."""
import importlib.util
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent.parent
TESTS = FOLDER.parent


def send(stream, value):
    """Writes a pickle after its length."""
    data = pickle.dumps(value)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def receive(stream):
    """The next value, None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    return pickle.loads(stream.read(struct.unpack("<Q", head)[0]))


class JobFailed(Exception):
    """What happened in the worker, as text."""


class Worker:
    """kind: "tensorflow" or "plain"."""

    def __init__(self, kind):
        self.kind = kind
        self._process = self._log = None

    def _start(self):
        package = str(pathlib.Path(importlib.util.find_spec("tenon").origin).absolute().parent.parent)
        environment = dict(os.environ, TENON_TENSORFLOW="1" if self.kind == "tensorflow" else "0",
                           PYTHONPATH=os.pathsep.join([str(FOLDER), str(TESTS), package, os.environ.get("PYTHONPATH", "")]))
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen([sys.executable, "-m", "yardstick.worker", self.kind], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._log, env=environment)

    def run(self, job, *arguments, **options):
        """The answer of a job; raises JobFailed with the worker's traceback, or with its last words when it died."""
        if self._process is None:
            self._start()
        start = self._log.seek(0, os.SEEK_END)
        try:
            send(self._process.stdin, (job, arguments, options))
            answer = receive(self._process.stdout)
        except BrokenPipeError:
            answer = None
        if answer is None:
            status = self.stop()
            self._log.seek(start)
            raise JobFailed(f"the worker died with {status}: " + self._log.read()[-4000:].decode(errors="replace"))
        if not answer[0]:
            raise JobFailed(answer[1])
        return answer[1]

    def log(self):
        """Everything the worker has printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self):
        """Ends the process and returns its exit status."""
        if self._process is None:
            return None
        self._process.stdin.close()
        status = self._process.wait(60)
        self._process.stdout.close()
        self._process = None
        return status
