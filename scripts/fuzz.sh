#!/usr/bin/env bash
# Runs every fuzz target for some seconds under ASan and UBSan. usage: scripts/fuzz.sh [seconds per target]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14 -DTENON_FUZZ=ON -DTENON_TESTS=OFF \
  -DTENON_WERROR=OFF -DTENON_SANITIZE=address,undefined >/dev/null
ninja -C build-fuzz
for target in tests/fuzz/*_fuzz.cc; do
  name=$(basename "$target" .cc)
  echo "-- $name, $seconds s"
  mkdir -p "build-fuzz/corpus/$name"
  seeds=()
  [ -d "tests/fuzz/seeds/$name" ] && seeds=("tests/fuzz/seeds/$name")
  "build-fuzz/$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 -verbosity=0 "build-fuzz/corpus/$name" "${seeds[@]}"
done
