#!/usr/bin/env bash
# Builds a tree with sanitizers by clang: asan is build-asan, for addresses and undefined behaviour, with the fuzz targets;
# tsan is build-tsan, for threads. usage: scripts/sanitized_build.sh asan|tsan [target]...    (default: everything)
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  asan) options=(-DTENON_SANITIZE=address,undefined -DTENON_FUZZ=ON) ;;
  tsan) options=(-DTENON_SANITIZE=thread) ;;
  *) sed -n '2,3p' "$0"; exit 2 ;;
esac
cmake -S . -B "build-$1" -G Ninja -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14 -DTENON_WERROR=OFF "${options[@]}" >/dev/null
ninja -C "build-$1" "${@:2}"
