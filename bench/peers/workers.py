"""Processes that bench/ times one after the other: workers with a peer each, and a busy neighbour. Whoever is not timed is stopped
(SIGSTOP), so that threads that wait by spinning cost the others nothing."""
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class WorkerError(Exception):
    pass


class Worker:
    """One peer with one network. `reason` is why it cannot be timed; None while it can."""

    def __init__(self, peer, root, name, threads):
        self.peer, self.reason = peer, None
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([sys.executable, f"{HERE}/worker.py", peer, root, name, str(threads)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def send(self, **command):
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # receive() tells why

    def receive(self, limit):
        """The answer; raises WorkerError when there is none within `limit` seconds."""
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise WorkerError(f"no answer within {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(self.last_error())
        return json.loads(line)

    def last_error(self):
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors.read().splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it ended without a word"

    def run(self, batch, seconds, limit=120):
        """Times in ms of the calls that fit into `seconds`; at least one. The process runs only meanwhile."""
        self.process.send_signal(signal.SIGCONT)
        self.send(run=batch, seconds=seconds)
        times = self.receive(limit)
        self.process.send_signal(signal.SIGSTOP)
        return times

    def give_up(self, reason):
        self.reason = str(reason)
        self.end()

    def end(self):
        self.process.kill()
        self.process.wait()


def prepare(workers, batch, limit):
    """Makes all workers ready for a batch size, side by side, and stops them; {peer: what their outputs add up to}."""
    started, results = time.monotonic(), {}
    running = [worker for worker in workers if worker.reason is None]
    for worker in running:
        worker.process.send_signal(signal.SIGCONT)
        worker.send(prepare=batch)
    for worker in running:
        try:
            results[worker.peer] = worker.receive(max(1.0, started + limit - time.monotonic()))["result"]
            worker.process.send_signal(signal.SIGSTOP)
        except WorkerError as error:
            worker.give_up(error)
    return results


# Ends by itself when its parent is gone.
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1000000):
        pass
"""


class Neighbour:
    """A process that keeps one CPU busy while the context is entered."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-c", BUSY])
        time.sleep(0.2)  # it starts up
        self.process.send_signal(signal.SIGSTOP)

    def __enter__(self):
        self.process.send_signal(signal.SIGCONT)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGSTOP)

    def end(self):
        self.process.kill()
        self.process.wait()
