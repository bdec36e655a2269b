#!/usr/bin/env bash
# Tests what users of C++ get: cmake --install into a folder that is then moved, a CMake project and a pkg-config build against it, and
# the size of a runtime-only installation. Needs build/ (scripts/test.sh makes it). For pip's packages see test_wheel.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=$PWD/examples/digits/model
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }; }

echo "-- cmake --install, runtime only"
ninja -C build tenon_cli >/dev/null
quietly cmake --install build --prefix "$work/runtime" --component runtime --strip
find "$work/runtime" -type f -o -type l | sed "s#$work/##"
needed=$(ldd "$work"/runtime/lib*/libtenon.so.0 | awk '{print $3}' | grep -E '/lib(fmt|re2|snappy|farmhash|z)\.' | xargs -r -n1 readlink -f)
own=$(du -sk "$work/runtime" | cut -f1)
libraries=$(du -ckL $needed | tail -1 | cut -f1)
echo "a runtime-only installation takes $((own / 1024)) MB, and $libraries kB of packages: $(basename -a $needed | tr '\n' ' ')"
[ $((own + libraries)) -le $((80 * 1024)) ] || { echo "that is more than 80 MB"; exit 1; }
"$work/runtime/bin/tenon" inspect "$model" --quiet >/dev/null

echo "-- cmake --install, moved afterwards"
DESTDIR=$work/staged quietly cmake --install build --prefix /opt/tenon
mv "$work/staged/opt/tenon" "$work/moved"
if grep -rIl -e "$PWD" -e /opt/tenon "$work/moved"; then echo "these files name a folder of the build"; exit 1; fi
"$work/moved/bin/tenon" --version

echo "-- find_package(tenon)"
quietly cmake -S examples/cmake_project -B "$work/project" -G Ninja -DCMAKE_PREFIX_PATH="$work/moved"
quietly ninja -C "$work/project"
"$work/project/convert_and_run" "$model" "$work/converted"

echo "-- pkg-config"
export PKG_CONFIG_PATH=$work/moved/lib/pkgconfig
quietly g++ examples/cpp/run_model.cc -o "$work/run_model" $(pkg-config --cflags --libs tenon) -Wl,-rpath,"$work/moved/lib"
"$work/run_model" "$work/converted"

echo "-- each public header compiles alone"
for header in include/tenon/*.h; do
  echo "#include <tenon/${header##*/}>" > "$work/header.cc"
  quietly g++ -fsyntax-only -Wall -Wextra -Werror $(pkg-config --cflags tenon) "$work/header.cc"
done
echo "the installed packages work"
