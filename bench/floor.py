"""The distance from the floor: what the networks' convolutions and matrix products take alone, as oneDNN primitives."""
import json
import subprocess

import models
import report


def measure(build, batches, threads, seconds):
    """Rows {model, batch, threads, layers, onednn_ms, tenon_ms}: sums over the layers of the fastest calls."""
    report.progress("timing the layers alone")
    done = subprocess.run([f"{build}/floor_bench", "--batches", ",".join(map(str, batches)), "--threads", ",".join(map(str, threads)),
                           "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def print_result(rows, comparison):
    whole = {(r["model"], r["batch"], r["threads"]): r["ms"].get("Tenon") for r in comparison}
    cells = []
    for row in rows:
        network = whole.get((row["model"], row["batch"], row["threads"]))
        ratio = network / row["onednn_ms"] if network and row["onednn_ms"] else None
        cells.append([f"{models.TITLES[row['model']]} {row['batch']}, {row['threads']}T", row["layers"], report.number(row["onednn_ms"]),
                      report.number(row["tenon_ms"]), report.number(network), report.number(ratio)])
    report.table("Distance from the floor: ms; floor = sum of the layers alone, oneDNN 3.2, warm, best layout, fused (aim: at most 1.3)",
                 ["network, batch, threads", "layers", "floor", "Tenon's kernels alone", "Tenon, whole network", "network / floor"], cells)
