#!/usr/bin/env bash
# Tests the packages for pip: a source distribution, a wheel built from it in an empty venv, that the wheel needs nothing but what
# manylinux promises, and that it works in a venv with NumPy alone. Needs the venv of scripts/setup.sh test; ccache makes it quick.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(realpath "${TENON_VENV:-.venv}")
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH="$venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "failed: $*"; exit 1; }; }

echo "-- source distribution"
quietly python -m build --sdist --no-isolation -o "$work/dist" .
sdist=$(echo "$work"/dist/*.tar.gz)
mkdir "$work/source"
tar xzf "$sdist" -C "$work/source" --strip-components=1
echo "$(basename "$sdist"): $(du -k "$sdist" | cut -f1) kB, $(find "$work/source" -type f | wc -l) files"

echo "-- wheel from the source distribution"
/usr/bin/python3 -m venv "$work/builder"
# What the source distribution asks for, in a venv whose path ccache can do without; pip's own would be a new one each time.
python - "$work/source/pyproject.toml" >"$work/requires" <<'PYTHON'
import sys
import tomllib
print(*tomllib.load(open(sys.argv[1], "rb"))["build-system"]["requires"], sep="\n")
PYTHON
quietly "$work/builder/bin/pip" install -r "$work/requires"
# Python's own name for the compiler and other flags than the build's would miss what that left in ccache.
(
  export CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1 CC=/usr/bin/cc CXX=/usr/bin/c++
  quietly "$work/builder/bin/pip" wheel --no-build-isolation --no-deps --config-settings=cmake.define.TENON_WERROR=ON -w "$work/dist" "$work/source"
)
if strings -a "$work"/source/build-pip/libtenon.so | grep -q "^$work/source/build"; then echo "the library names the build's folder"; exit 1; fi

echo "-- auditwheel"
auditwheel show "$work"/dist/*-linux_x86_64.whl | grep -A1 'following platform tag\|platform tag:'
quietly auditwheel repair -w "$work/release" "$work"/dist/*-linux_x86_64.whl
wheel=$(echo "$work"/release/*-manylinux_*.whl)
python -m zipfile -l "$wheel" >"$work/files"
if grep -q '^tenon\.libs/' "$work/files"; then echo "a library was missing from the wheel:"; cat "$work/files"; exit 1; fi

echo "-- installed in a venv with NumPy alone"
/usr/bin/python3 -m venv "$work/venv"
quietly "$work/venv/bin/pip" install "$wheel"
package=$("$work/venv/bin/python" -c 'import pathlib, tenon; print(pathlib.Path(tenon.__file__).parent)')
echo "$(basename "$wheel"): $(du -k "$wheel" | cut -f1) kB; installed: $(du -sk "$package" | cut -f1) kB, of that libtenon.so $(du -k "$package/libtenon.so" | cut -f1) kB, bundled libraries $(du -sk "$package/_libs" | cut -f1) kB"
packages=$("$work/venv/bin/pip" list --format=freeze | sed 's/==.*//' | grep -vx -e pip -e setuptools | xargs)
[ "$packages" = "numpy tenon" ] || { echo "the venv holds: $packages"; exit 1; }
in_venv() { (cd "$work" && env -i PATH="$work/venv/bin:/usr/bin:/bin" HOME="$work" "$@"); }
if in_venv python -c 'import tensorflow' 2>/dev/null; then echo "tensorflow can be imported"; exit 1; fi
in_venv python - "$package" <<'PYTHON'
import pathlib, sys
import tenon
package = pathlib.Path(sys.argv[1])
try:  # libjpeg is opened at the first JPEG file: the wheel's own has to be found
    text = """node { name: "file" op: "Placeholder" attr { key: "dtype" value { type: DT_STRING } } }
              node { name: "image" op: "DecodeJpeg" input: "file" }"""
    pathlib.Path("jpeg.pbtxt").write_text(text)
    tenon.Session("jpeg.pbtxt", inputs=["file:0"], outputs=["image:0"]).run({"file:0": b"\xff\xd8\xff\xe0 no JPEG"})
except tenon.InvalidArgument as error:
    assert "JPEG" in str(error), error
mapped = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
for name in ["libtenon.so", "_libs/libfmt", "_libs/libre2", "_libs/libjpeg"]:
    assert any(path.startswith(f"{package}/{name}") for path in mapped), f"{name} does not come from the wheel: {sorted(mapped)}"
PYTHON
in_venv python -m tenon convert --saved-model-dir "$root/examples/digits/model" --output-dir digits --shapes image:1x8x8x1 --verify --quiet
in_venv python "$root/examples/digits/evaluate.py" "$root/examples/digits/model" digits
for command in "--help" "convert --help" "--version" "inspect nothing" "frobnicate"; do
  expected=$(in_venv tenon $command 2>&1; echo "exit code $?")
  found=$(in_venv python -m tenon $command 2>&1; echo "exit code $?")
  [ "$expected" = "$found" ] || { echo "python -m tenon $command: $found"; echo "tenon $command: $expected"; exit 1; }
done

echo "-- types"
(cd "$work" && mypy --strict --python-executable "$work/venv/bin/python" --cache-dir "$work/mypy" "$root/python/tests/typed_program.py")
(cd "$work" && mypy --python-version 3.10 --ignore-missing-imports --allow-untyped-globals --python-executable "$work/venv/bin/python" --cache-dir "$work/mypy" -p tenon)

echo "-- the plug-in for TensorFlow, from the wheel's sources"
export XDG_CACHE_HOME=$work/cache PYTHONPATH=${package%/tenon} TF_CPP_MIN_LOG_LEVEL=3
cd "$work"
quietly python -c 'import sys, tenon.tensorflow; tenon.tensorflow.load(); assert tenon.__file__.startswith(sys.argv[1]), tenon' "$work"
echo "the wheel works"
