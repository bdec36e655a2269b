"""Tenon beside TensorFlow, XLA, OpenVINO, ONNX Runtime and LiteRT: FP32, interleaved in one run.

    python bench/peers/compare.py DIR [--models a,b] [--batches 1,8] [--threads 1,2] [--peers …] [--rounds 6] [--seconds 0.7]
                                      [--neighbour] [--json FILE]

DIR keeps the networks (made at first use) and Tenon's conversions. Every peer is a process of its own; in each round each runs
for some seconds while the others wait. Printed: medians in ms, and Tenon's ratio to the best peer (above 1: Tenon is faster).
--neighbour adds Tenon's times beside one busy process of equal priority.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

import models

PEERS = ["TensorFlow", "XLA", "OpenVINO", "ONNX Runtime", "LiteRT", "Tenon"]
HERE = os.path.dirname(os.path.abspath(__file__))


class Worker:
    def __init__(self, peer, root, name, batch, threads):
        self.peer = peer
        self.process = subprocess.Popen([sys.executable, f"{HERE}/worker.py", peer, root, name, str(batch), str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.times = []

    def ready(self):
        return self.process.stdout.readline().strip() == "ready"

    def run(self, seconds):
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def row(options, name, batch, threads):
    workers = []
    for peer in options.peers.split(","):
        worker = Worker(peer, options.root, name, batch, threads)
        if worker.ready():
            workers.append(worker)
        else:
            print(f"  {peer} cannot run {name}", file=sys.stderr)
    for _ in range(options.rounds):
        for worker in workers:
            worker.times += worker.run(options.seconds)
    for worker in workers:
        worker.stop()
    return {worker.peer: statistics.median(worker.times) for worker in workers}


def neighbour_row(options, name, threads):
    """Quiet and beside one busy process, interleaved: (mean, p98) each, in ms, for each peer."""
    result = {}
    for peer in options.peers.split(","):
        worker = Worker(peer, options.root, name, 1, threads)
        if not worker.ready():
            continue
        quiet, busy = [], []
        for _ in range(options.rounds):
            quiet += worker.run(options.seconds)
            neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            busy += worker.run(options.seconds * 2)
            neighbour.kill()
            neighbour.wait()
        worker.stop()
        result[peer] = {"quiet_mean": statistics.mean(quiet), "quiet_p98": percentile(quiet, 0.98),
                        "busy_mean": statistics.mean(busy), "busy_p98": percentile(busy, 0.98)}
    return result


def cpu_name():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("--models", default=",".join(models.NAMES))
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.7)
    parser.add_argument("--neighbour", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    subprocess.run([sys.executable, f"{HERE}/models.py", options.root], check=True)
    peers = options.peers.split(",")
    print(f"{cpu_name()}, {os.cpu_count()} CPUs; median ms, FP32; ratio = best peer / Tenon")
    print("| network, batch, threads | " + " | ".join(peers) + " | ratio |")
    print("|---" * (len(peers) + 2) + "|")
    rows = []
    for threads in map(int, options.threads.split(",")):
        for batch in map(int, options.batches.split(",")):
            for name in options.models.split(","):
                times = row(options, name, batch, threads)
                others = [t for peer, t in times.items() if peer != "Tenon"]
                ratio = min(others) / times["Tenon"] if others and "Tenon" in times else float("nan")
                rows.append({"model": name, "batch": batch, "threads": threads, "ms": times, "ratio": ratio})
                cells = [f"{times[p]:.2f}" if p in times else "–" for p in peers]
                print(f"| {name} {batch}, {threads}T | " + " | ".join(cells) + f" | {ratio:.2f} |", flush=True)
    neighbours = {}
    if options.neighbour:
        print("\nbeside one busy process, two threads: quiet mean / p98 -> busy mean / p98 ms")
        for name in options.models.split(","):
            neighbours[name] = neighbour_row(options, name, 2)
            for peer, t in neighbours[name].items():
                print(f"| {name} | {peer} | {t['quiet_mean']:.2f} / {t['quiet_p98']:.2f} | {t['busy_mean']:.2f} / {t['busy_p98']:.2f} | "
                      f"mean x{t['busy_mean'] / t['quiet_mean']:.2f}, p98 x{t['busy_p98'] / t['quiet_mean']:.2f} |", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"cpu": cpu_name(), "rows": rows, "neighbour": neighbours}, file, indent=1)


if __name__ == "__main__":
    main()
