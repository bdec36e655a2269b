#!/usr/bin/env bash
# Shows what Tenon does, from nothing (Debian 12, git and bash, root) to a converted model: installs what is missing, builds,
# converts the trained model of examples/digits, times it and counts its mistakes before and after. May be run again at any time.
set -euo pipefail
cd "$(dirname "$0")/.."
started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - started)); }

scripts/setup.sh runtime
venv=$(realpath "${TENON_VENV:-.venv}")
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
out=${TENON_DEMO_DIR:-build/demo}
model=examples/digits/model
converted=$out/digits_converted

say "building libtenon.so, the tenon command and the Python module in build/"
cmake -S . -B build -G Ninja -DTENON_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" >/dev/null
ninja -C build tenon_cli tenon_python
mkdir -p "$out"

say "converting $model, a small CNN that tells handwritten digits apart"
echo "\$ tenon convert --saved-model-dir $model --output-dir $converted --shapes image:1x8x8x1 --verify --force"
build/tenon convert --saved-model-dir "$model" --output-dir "$converted" --shapes image:1x8x8x1 --verify --force

say "what the converted model holds"
echo "\$ tenon inspect $converted"
build/tenon inspect "$converted"

for batch in 1 32; do
  say "latency, batch $batch: every op native, then with the engine"
  echo "\$ tenon bench $model --batch $batch --duration 2 --native"
  build/tenon bench "$model" --batch "$batch" --duration 2 --native
  echo "\$ tenon bench $converted --batch $batch --duration 2"
  build/tenon bench "$converted" --batch "$batch" --duration 2
done

say "accuracy on the held-out images, before and after"
echo "\$ python examples/digits/evaluate.py $model $converted"
PYTHONPATH=build/python "$venv/bin/python" examples/digits/evaluate.py "$model" "$converted"

say "done; build/tenon --help tells what else there is"
