"""Tenon beside TensorFlow, XLA, OpenVINO, ONNX Runtime and LiteRT: FP32, interleaved in one run. bench/run.sh calls it; alone:

    python bench/peers/compare.py DIR [options, see --help]

DIR keeps the networks (made at first use). Every peer is a process of its own; in each round each runs for some seconds while the
others are stopped. The engines of Tenon are converted anew before, tuned for each batch size, as OpenVINO, LiteRT and XLA compile
theirs for each. A peer that is not installed or cannot run a network is named in the notes.
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import models
import report
import workers

PEERS = ["TensorFlow", "XLA", "OpenVINO", "ONNX Runtime", "LiteRT", "Tenon"]
HERE = os.path.dirname(os.path.abspath(__file__))
PREPARE_LIMIT = 240  # seconds in which a peer must be loaded, compiled and warm


def add_options(parser):
    comma = lambda kind: lambda text: [kind(part) for part in text.split(",")]
    parser.add_argument("root", nargs="?", default="build/bench", metavar="DIR", help="where the networks are kept (build/bench)")
    parser.add_argument("--models", type=comma(str), default=models.NAMES, help="which networks: " + ",".join(models.NAMES))
    parser.add_argument("--peers", type=comma(str), default=PEERS, help="who takes part: " + ",".join(PEERS))
    parser.add_argument("--batches", type=comma(int), default=[1, 8], help="batch sizes (1,8)")
    parser.add_argument("--threads", type=comma(int), default=[1, 2], help="numbers of threads (1,2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each peer gets (5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn (0.5)")
    parser.add_argument("--no-neighbour", action="store_true", help="leave out the times beside a busy process")
    parser.add_argument("--json", metavar="FILE", help="also write all figures there")


class Comparison:
    """Rows {model, batch, threads, ms: {peer: median}, calls: {peer: number}, ratio}, times beside a busy process, and notes."""

    def __init__(self, options):
        self.options, self.rows, self.neighbours, self.notes = options, [], [], []

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)
            report.progress(text)

    def measure(self, name, threads):
        """All batch sizes of one network with so many threads: loading a peer is dear, so each process serves them all."""
        self.convert(name, threads)
        group = [workers.Worker(peer, self.options.root, name, threads) for peer in self.options.peers]
        try:
            for batch in self.options.batches:
                self.prepare(group, name, batch)
                self.measure_row(group, name, batch, threads)
                if not self.options.no_neighbour and threads == max(self.options.threads) and batch == min(self.options.batches):
                    self.measure_neighbour(group, name, batch, threads)
        finally:
            for worker in group:
                worker.end()

    def convert(self, name, threads):
        for batch in self.options.batches if {"Tenon", "Converted"} & set(self.options.peers) else []:
            report.progress(f"converting {name} for batch {batch}, {threads} thread(s)")
            done = subprocess.run([sys.executable, f"{HERE}/convert.py", self.options.root, name, str(batch), str(threads)],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                self.note(f"Tenon cannot convert {name}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")

    def prepare(self, group, name, batch):
        report.progress(f"loading {name} at batch {batch}")
        results = workers.prepare(group, batch, PREPARE_LIMIT)
        for worker in group:
            if worker.reason is not None:
                self.note(f"{worker.peer} cannot run {name}: {worker.reason}")
        usual = statistics.median(results.values()) if results else 0
        for peer, result in results.items():
            if abs(result - usual) > 1e-3 * abs(usual):
                self.note(f"{peer} computes something else for {name}, batch {batch}: {result:.6g}, the others {usual:.6g}")

    def take_turns(self, group, turn, seconds):
        """Calls turn(worker), which should take `seconds`, for every worker in every round; one that takes twice as long and more, since
        single calls are long, gets fewer turns."""
        spent = {worker: 0.0 for worker in group}
        allowed = 2 * self.options.rounds * seconds
        for _ in range(self.options.rounds):
            for worker in group:
                if worker.reason is not None or spent[worker] > allowed:
                    continue
                start = time.monotonic()
                try:
                    turn(worker)
                except workers.WorkerError as error:
                    worker.give_up(error)
                    self.note(f"{worker.peer}: {error}")
                spent[worker] += time.monotonic() - start

    def measure_row(self, group, name, batch, threads):
        report.progress(f"timing {name}, batch {batch}, {threads} thread(s)")
        times = {worker.peer: [] for worker in group}

        def turn(worker):
            times[worker.peer] += worker.run(batch, self.options.seconds)
        self.take_turns(group, turn, self.options.seconds)
        medians = {peer: statistics.median(t) for peer, t in times.items() if t}
        others = [t for peer, t in medians.items() if peer != "Tenon"]
        ratio = min(others) / medians["Tenon"] if others and "Tenon" in medians else None
        self.rows.append({"model": name, "batch": batch, "threads": threads, "ms": medians, "ratio": ratio,
                          "calls": {peer: len(t) for peer, t in times.items()}})

    def measure_neighbour(self, group, name, batch, threads):
        """Quiet and beside one busy process of equal priority, in turns."""
        report.progress(f"timing {name} beside a busy process")
        quiet, busy = {worker.peer: [] for worker in group}, {worker.peer: [] for worker in group}
        neighbour = workers.Neighbour()

        def turn(worker):
            quiet[worker.peer] += worker.run(batch, self.options.seconds)
            with neighbour:
                busy[worker.peer] += worker.run(batch, 2 * self.options.seconds)
        try:
            self.take_turns(group, turn, 3 * self.options.seconds)
        finally:
            neighbour.end()
        for peer in quiet:
            if quiet[peer] and busy[peer]:
                self.neighbours.append({"model": name, "batch": batch, "threads": threads, "peer": peer, **in_neighbourhood(quiet[peer], busy[peer])})

    def run(self):
        os.makedirs(self.options.root, exist_ok=True)
        for threads in self.options.threads:
            for name in self.options.models:
                self.measure(name, threads)
        return {"rows": self.rows, "neighbour": self.neighbours, "notes": self.notes}


def in_neighbourhood(quiet, busy):
    quiet_mean = statistics.mean(quiet)
    return {"quiet_mean_ms": quiet_mean, "quiet_p98_ms": percentile(quiet, 0.98), "busy_mean_ms": statistics.mean(busy),
            "busy_p98_ms": percentile(busy, 0.98), "mean_factor": statistics.mean(busy) / quiet_mean,
            "p98_factor": percentile(busy, 0.98) / quiet_mean, "calls": len(busy)}


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def print_rows(result, peers):
    rows = sorted(result["rows"], key=lambda r: (r["batch"], -r["threads"], models.NAMES.index(r["model"])))
    report.table("Networks: median ms, FP32; ratio = best peer / Tenon (above 1: Tenon is faster)",
                 ["network, batch, threads", *peers, "ratio"],
                 [[f"{models.TITLES[r['model']]} {r['batch']}, {r['threads']}T", *[report.number(r["ms"].get(peer)) for peer in peers],
                   report.number(r["ratio"])] for r in rows])


def print_neighbours(result, peers):
    found = {(row["model"], row["peer"]): row for row in result["neighbour"]}
    names = [name for name in models.NAMES if any(model == name for model, _ in found)]
    if not names:
        return
    first = result["neighbour"][0]

    def cell(name, peer):
        row = found.get((name, peer))
        return f"{row['quiet_mean_ms']:.2f}: x{row['mean_factor']:.2f}, x{row['p98_factor']:.1f}" if row else report.MISSING
    report.table(f"Beside one busy process, batch {first['batch']}, {first['threads']} threads: quiet mean in ms: mean, p98 beside the process, "
                 "as multiples of it (wanted of Tenon: at most x2.2, x4)", ["network", *peers],
                 [[models.TITLES[name], *[cell(name, peer) for peer in peers]] for name in names])


def print_result(result, peers):
    print_rows(result, peers)
    print_neighbours(result, peers)
    for note in result["notes"]:
        print(f"\n- {note}")


def make_networks(root):
    """Writes the networks that are not there yet. A process of its own does it: TensorFlow stays large."""
    if subprocess.run([sys.executable, f"{HERE}/models.py", root], stdout=sys.stderr).returncode != 0:
        sys.exit("bench: the networks could not be made; that needs tensorflow-cpu (scripts/setup.sh runtime test bench)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    make_networks(options.root)
    result = Comparison(options).run()
    print_result(result, options.peers)
    report.write_json(options.json, result)


if __name__ == "__main__":
    main()
