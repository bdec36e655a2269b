"""Everything that bench/ measures, in one run: networks beside the peers, a busy neighbour, the floor, engines, calls, sizes.

    bench/run.sh [DIR] [options]        installs and builds what this needs, then calls it; see --help

Markdown goes to standard output, progress to standard error. The machine should do nothing else meanwhile.
"""
import argparse
import importlib.metadata
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/peers"]

import compare
import engines
import floor
import models
import report
import tensorflow_models

SECTIONS = ["engines", "calls", "size", "floor", "peers", "tensorflow"]
PACKAGES = ["tensorflow-cpu", "openvino", "onnxruntime", "ai-edge-litert"]


def read_options():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__.splitlines()[0])
    compare.add_options(parser)
    parser.add_argument("--sections", default=",".join(SECTIONS), help="what to measure: " + ",".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="two threads only and shorter turns: for a look, not for the record")
    parser.add_argument("--build", default="build", help="the build folder (build)")
    options = parser.parse_args()
    options.root, options.build = os.path.abspath(options.root), os.path.abspath(options.build)
    options.sections = options.sections.split(",")
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}")
    if unknown := set(options.models) - set(models.NAMES):
        parser.error(f"unknown networks: {', '.join(sorted(unknown))}")
    if unknown := set(options.peers) - set(compare.PEERS):
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}")
    if options.quick:
        options.threads, options.rounds, options.seconds = [max(options.threads)], 2, min(options.seconds, 0.3)
    return options


def cpu_name():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def environment():
    return {"cpu": cpu_name(), "cpus": len(os.sched_getaffinity(0)), "load_at_start": os.getloadavg()[0],
            "versions": {package: version_of(package) for package in PACKAGES}}


def print_environment(found):
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    print(f"{found['cpu']}, {found['cpus']} CPUs, load {found['load_at_start']:.2f} when it began; {versions}", flush=True)


def measure_engines(options, result):
    result["engines"] = engines.measure(options.build, options.root, options.models, max(options.threads), 2 if options.quick else 5)
    engines.print_result(result["engines"])


def measure_calls(options, result):
    result["calls"] = engines.call_cost(options.build)
    engines.print_call_cost(result["calls"])


def measure_size(options, result):
    result["size"] = engines.installed_size(options.build)
    engines.print_installed_size(result["size"])


def measure_floor(options, result):
    rows = floor.measure(options.build, options.batches[:1], options.threads, 0.02 if options.quick else 0.06)
    result["floor"] = [row for row in rows if row["model"] in options.models]


def measure_peers(options, result):
    result["peers"] = compare.Comparison(options).run()
    compare.print_result(result["peers"], options.peers)


def measure_tensorflow(options, result):
    result["tensorflow"] = tensorflow_models.measure(options)
    tensorflow_models.print_result(result["tensorflow"])


def main():
    options = read_options()
    result = {"environment": environment()}
    print_environment(result["environment"])
    compare.make_networks(options.root)
    steps = {"engines": measure_engines, "calls": measure_calls, "size": measure_size, "floor": measure_floor, "peers": measure_peers,
             "tensorflow": measure_tensorflow}
    for section in SECTIONS:
        if section in options.sections:
            steps[section](options, result)
            report.write_json(options.json, result)
    if "floor" in result:
        floor.print_result(result["floor"], result.get("peers", {}).get("rows", []))
    report.progress("done")


if __name__ == "__main__":
    main()
