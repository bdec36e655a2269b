#!/usr/bin/env bash
# Measures Tenon: beside its peers, beside a busy neighbour, from the floor; building, opening and calling engines; memory, size.
# usage: bench/run.sh [DIR] [--quick] [--json FILE] [options, see --help]      DIR keeps the networks (default build/bench)
# Installs and builds what that needs. Markdown goes to standard output, everything else to standard error.
set -euo pipefail
cd "$(dirname "$0")/.."
{
  scripts/setup.sh runtime test bench
  venv=$(realpath "${TENON_VENV:-.venv}")
  cmake -S . -B build -G Ninja -DTENON_PYTHON=ON -DTENON_BENCH=ON -DPython_EXECUTABLE="$venv/bin/python"
  ninja -C build tenon_python tenon_cli floor_bench call_bench
} >&2
PYTHONPATH=$PWD/build/python exec "$venv/bin/python" bench/run.py "$@"
