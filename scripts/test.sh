#!/usr/bin/env bash
# Installs, builds and tests everything. usage: scripts/test.sh [quick|full]     (default: full)
#   quick  build, layer check, C++ and Python tests                                        (minutes)
#   full   the same, then AVX2 and SSE lanes, ASan+UBSan, TSan, fuzzing, install test
set -euo pipefail
cd "$(dirname "$0")/.."
lane=${1:-full}
started=$SECONDS
say() { printf '\n== %s (%d s)\n' "$*" $((SECONDS - started)); }

scripts/setup.sh runtime test fuzz
venv=$(realpath "${TENON_VENV:-.venv}")
export PATH="$venv/bin:$PATH" CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

say "layers"
tools/check_layers.py

say "build"
cmake -S . -B build -G Ninja -DTENON_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" >/dev/null
ninja -C build

say "C++ tests"
ctest --test-dir build --output-on-failure --no-tests=error

say "Python tests"
PYTHONPATH=build/python python -m pytest -q python/tests

[ "$lane" = quick ] && { say "quick lane passed"; exit 0; }

say "C++ tests under an AVX2 cap"
TENON_MAX_CPU_ISA=AVX2 ctest --test-dir build --output-on-failure --no-tests=error

say "ASan and UBSan"
cmake -S . -B build-asan -G Ninja -DTENON_SANITIZE=address,undefined -DTENON_WERROR=OFF >/dev/null
ninja -C build-asan
ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  ctest --test-dir build-asan --output-on-failure --no-tests=error

say "TSan"
cmake -S . -B build-tsan -G Ninja -DTENON_SANITIZE=thread -DTENON_WERROR=OFF >/dev/null
ninja -C build-tsan base_test cpu_test runtime_test
for program in base_test cpu_test runtime_test; do TSAN_OPTIONS=halt_on_error=1 build-tsan/$program --gtest_brief=1; done

say "fuzzing"
scripts/fuzz.sh "${TENON_FUZZ_SECONDS:-60}"

say "install"
scripts/test_install.sh

say "all lanes passed"
