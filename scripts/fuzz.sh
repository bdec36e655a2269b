#!/usr/bin/env bash
# Runs every fuzz target for some seconds under ASan and UBSan. usage: scripts/fuzz.sh [seconds per target] [target]...
# What it finds lies in build-asan/findings; a finding that is understood becomes a seed in tests/fuzz/seeds/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
targets=("${@:2}")
if [ ${#targets[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" .cc)"); done
fi
scripts/sanitized_build.sh asan "${targets[@]}"
mkdir -p build-asan/findings
for target in "${targets[@]}"; do
  echo "-- $target, $seconds s"
  mkdir -p "build-asan/corpus/$target"
  seeds=(tests/savedmodel/data)
  [ -d "tests/fuzz/seeds/$target" ] && seeds+=("tests/fuzz/seeds/$target")
  "build-asan/$target" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 -verbosity=0 -print_final_stats=1 \
    -artifact_prefix="build-asan/findings/$target-" "build-asan/corpus/$target" "${seeds[@]}"
done
