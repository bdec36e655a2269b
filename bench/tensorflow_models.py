"""Converted models inside TensorFlow: the four networks before and after conversion, and what a call of an engine costs there.

bench/run.sh calls it (section "tensorflow"). Needs TensorFlow and a compiler for the plug-in.
"""
import argparse
import json
import os
import subprocess
import sys

import compare
import models
import report

HERE = os.path.dirname(os.path.abspath(__file__))
# The model as it was, TensorFlow at its best (frozen; compiled by XLA), a peer, the converted model in TensorFlow, and without it.
PEERS = ["SavedModel", "TensorFlow", "XLA", "OpenVINO", "Converted", "Tenon"]


def measure(options):
    """Rows as compare.Comparison makes them, for the largest number of threads."""
    wanted = argparse.Namespace(**{**vars(options), "peers": PEERS, "threads": [max(options.threads)], "no_neighbour": True})
    result = compare.Comparison(wanted).run()
    result["calls"] = call_cost()
    return result


def print_result(result):
    rows = sorted(result["rows"], key=lambda r: (r["batch"], models.NAMES.index(r["model"])))
    number = lambda row, peer: report.number(row["ms"].get(peer))
    gain = lambda row, peer: report.number(row["ms"][peer] / row["ms"]["Converted"]) if {peer, "Converted"} <= set(row["ms"]) else report.MISSING
    best = lambda row: min((ms, peer) for peer, ms in row["ms"].items() if peer in ("SavedModel", "TensorFlow", "XLA"))[1]
    report.table("Inside TensorFlow: median ms; gains = time / time of the converted model",
                 ["network, batch, threads", *PEERS, "gain over the SavedModel", "over TensorFlow at its best", "over OpenVINO"],
                 [[f"{models.TITLES[r['model']]} {r['batch']}, {r['threads']}T", *[number(r, peer) for peer in PEERS], gain(r, "SavedModel"),
                   gain(r, best(r)), gain(r, "OpenVINO")] for r in rows])
    for note in result["notes"]:
        print(f"\n- {note}")
    report.table("A call of an op inside TensorFlow, us: [8,64] x [64,64], then Relu", ["caller", "TensorFlow's ops", "one engine", "engine - ops"],
                 [[caller, *[report.number(us) for us in (row["ops"], row["engine"], row["engine"] - row["ops"])]]
                  for caller, row in result["calls"].items()])


def call_cost():
    """{"ConcreteFunction" | "Session.run": {"ops": us, "engine": us}}, measured by a process of its own."""
    done = subprocess.run([sys.executable, os.path.join(HERE, "tensorflow_calls.py")], capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if done.returncode != 0:
        raise RuntimeError(f"the cost of calls could not be measured: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
