#!/usr/bin/env bash
# The comparison with the peers. usage: bench/run.sh [DIR] [options of bench/peers/compare.py]; DIR keeps the networks.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh runtime test bench
venv=$(realpath "${TENON_VENV:-.venv}")
cmake -S . -B build -G Ninja -DTENON_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" >/dev/null
ninja -C build tenon_python
root=${1:-build/bench}
shift || true
PYTHONPATH=$PWD/build/python exec "$venv/bin/python" bench/peers/compare.py "$root" "$@"
