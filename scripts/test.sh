#!/usr/bin/env bash
# Installs, builds and tests everything. usage: scripts/test.sh [quick|full]     (default: full)
#   quick  layer check, build, C++ and Python tests but those marked "full"
#   full   the same, then caps of the instruction set, install and wheel tests, C++ in TensorFlow, ASan with UBSan, TSan, fuzzing
# A lane that fails does not stop the others; the last lines say which failed, and the exit code is 1.
# TENON_VENV: the venv (default .venv). TENON_FUZZ_SECONDS: seconds per fuzz target (default 60).
set -euo pipefail
cd "$(dirname "$0")/.."
choice=${1:-full}
case $choice in quick | full) ;; *) sed -n '2,6p' "$0"; exit 2 ;; esac

failed=()
# lane NAME COMMAND...: runs the command, prints how long it took, remembers a failure. Call it plainly: as a condition, or
# before || or &&, bash would let the command run on after its first failure.
lane() {
  local name=$1 started=$SECONDS status
  shift
  printf '\n== %s\n' "$name"
  set +e
  (set -e; "$@")
  status=$?
  set -e
  if [ $status -eq 0 ]; then
    printf -- '-- %s: passed in %d s\n' "$name" $((SECONDS - started))
  else
    failed+=("$name")
    printf -- '-- %s: FAILED after %d s\n' "$name" $((SECONDS - started))
  fi
}
# The same for what everything else needs.
needed() {
  lane "$@"
  [ ${#failed[@]} -eq 0 ] || finish
}

finish() {
  [ -d ../shared/models ] || echo "note: ../shared is not there, so the tests on its models and graphs were skipped"
  if [ ${#failed[@]} -gt 0 ]; then
    printf '\n== FAILED (%s, %d s):%s\n' "$choice" "$SECONDS" "$(printf ' "%s"' "${failed[@]}")"
    exit 1
  fi
  printf '\n== every lane of "%s" passed (%d s)\n' "$choice" "$SECONDS"
  exit 0
}

run_ctest() { ctest --test-dir "$1" -j "$(nproc)" --output-on-failure --no-tests=error --timeout 1200; }

build() {
  cmake -S . -B build -G Ninja -DTENON_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" >/dev/null
  ninja -C build
}

capped() {
  for isa in AVX2 SSE2; do
    echo "-- TENON_MAX_CPU_ISA=$isa"
    for program in kernels vecops cpu conformance; do TENON_MAX_CPU_ISA=$isa "build/${program}_test" --gtest_brief=1; done
  done
}

address_sanitizer() {
  scripts/sanitized_build.sh asan
  # Left out: tests whose point is size or time; the build without sanitizers runs them.
  GTEST_FILTER='-LargeVariables.*:*Million*:*BoundedMemory' UBSAN_OPTIONS=print_stacktrace=1 run_ctest build-asan
}

thread_sanitizer() {
  local programs=(base_test backend_test runtime_test cpu_test api_test tfplugin_test)
  scripts/sanitized_build.sh tsan "${programs[@]}"
  for program in "${programs[@]}"; do TSAN_OPTIONS=halt_on_error=1 "build-tsan/$program" --gtest_brief=1 --gtest_filter=-LargeVariables.*; done
}

needed "set-up" scripts/setup.sh test fuzz
venv=$(realpath "${TENON_VENV:-.venv}")
export TENON_VENV=$venv PATH="$venv/bin:$PATH" CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

lane "layers" tools/check_layers.py
needed "build" build
lane "C++ tests" run_ctest build
kept=()
if [ "$choice" = quick ]; then kept=(-m "not full"); fi
jobs=$(($(nproc) < 4 ? $(nproc) : 4))  # several of them have a TensorFlow each
lane "Python tests" env PYTHONPATH=build/python python -m pytest -q -rs -n $jobs --dist loadfile "${kept[@]}" python/tests
if [ "$choice" = quick ]; then finish; fi

lane "C++ tests under caps of the instruction set" capped
lane "install" scripts/test_install.sh
lane "wheel" scripts/test_wheel.sh
lane "C++ in TensorFlow" scripts/test_tensorflow_cpp.sh
lane "ASan and UBSan" address_sanitizer
lane "TSan" thread_sanitizer
lane "fuzzing" scripts/fuzz.sh "${TENON_FUZZ_SECONDS:-60}"
finish
