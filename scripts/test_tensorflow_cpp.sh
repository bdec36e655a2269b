#!/usr/bin/env bash
# Tests what C++ programs get inside TensorFlow: builds and installs the plug-in and ConvertAndBuild against the venv's TensorFlow, runs
# their test, builds both programs of examples/cpp/tftrt_inference as a user would, and compares their outputs on a ResNet-50 and on
# the models of ../shared with TensorFlow's before conversion. Needs the venv of scripts/setup.sh test (TENON_VENV names another).
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 TF_CPP_MIN_LOG_LEVEL=2
venv=${TENON_VENV:-.venv}
[ -x "$venv/bin/python" ] || { echo "the venv $venv is not there: run scripts/setup.sh test"; exit 1; }
python=$(realpath -s "$venv")/bin/python
build=$PWD/build-tensorflow
work=$build/cpp
rm -rf "$work"
mkdir -p "$work"
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }; }

echo "-- the plug-in, ConvertAndBuild and the Python module"
quietly cmake -S . -B "$build" -G Ninja -DTENON_PYTHON=ON -DTENON_TENSORFLOW=ON -DPython_EXECUTABLE="$python"
quietly ninja -C "$build" tenon_cli tenon_python tenon_tf tenon_tensorflow tensorflow_test
for component in runtime development tensorflow; do
  quietly cmake --install "$build" --prefix "$work/prefix" --component "$component"
done

echo "-- ConvertAndBuild"
"$build/tensorflow_test" --gtest_brief=1 2>"$work/log" || { cat "$work/log"; exit 1; }

echo "-- examples/cpp/tftrt_inference, against TensorFlow and against Tenon alone"
for program in tensorflow tenon; do
  quietly cmake -S "examples/cpp/tftrt_inference/$program" -B "$work/$program" -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache)" \
    -DPython_EXECUTABLE="$python" -DCMAKE_PREFIX_PATH="$work/prefix"
  quietly ninja -C "$work/$program"
done
if ldd "$work/tenon/tftrt_inference" | grep libtensorflow; then echo "the program without TensorFlow needs it"; exit 1; fi

echo "-- a program of one's own that calls ConvertAndBuild"
cat >"$work/program.cc" <<'CPP'
#include <tenon_tensorflow/trt_convert_api.h>
int main() {
  // Nothing to convert: the call has to arrive, and to say what is wrong.
  const auto converted = tenon::tf::ConvertAndBuild(tensorflow::GraphDef(), {}, {}, {}, tenon::tf::TfTrtConversionParams());
  return absl::IsInvalidArgument(converted.status()) ? 0 : 1;
}
CPP
mapfile -t flags < <("$python" -c 'import tensorflow as tf; s = tf.sysconfig; print(*s.get_compile_flags()[1:], s.get_lib(), sep="\n")' 2>"$work/log" | grep -v -- -std)
tensorflow=${flags[-1]}
unset 'flags[-1]'
lib=$(dirname "$(find "$work/prefix" -name libtenon_tf.so)")
quietly g++ -std=c++20 "$work/program.cc" -o "$work/program" "${flags[@]}" -isystem "$tensorflow/include" -I"$work/prefix/include" \
  -L"$lib" -ltenon_tensorflow -ltenon -L"$tensorflow" -Wl,--no-as-needed -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 \
  -Wl,-rpath,"$lib:$tensorflow"
quietly "$work/program"

echo "-- outputs of TensorFlow before = of both programs"
ln -s "$build/tensorflow_test" "$work/tensorflow_test"
TENON_CPP_PROGRAMS=$work PYTHONPATH=$build/python "$python" -m pytest -q -rs python/tests/compat/test_cpp_program.py

echo "C++ programs work in TensorFlow and without it"
