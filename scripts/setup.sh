#!/usr/bin/env bash
# Installs what building and testing need (Debian 12, root): packages by apt, a venv by pip. Idempotent.
# usage: scripts/setup.sh [runtime|test|bench|train|fuzz]...   lanes: which requirements/*.txt go into the venv besides build.txt
#   and runtime.txt; fuzz adds clang, test Chromium. TENON_VENV names another venv than .venv.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

packages=(g++ cmake ninja-build ccache python3 python3-dev python3-venv pkg-config
  libprotozero-dev libhwy-dev libfmt-dev libcli11-dev nlohmann-json3-dev libxxhash-dev libsnappy-dev zlib1g-dev
  libre2-dev libfarmhash-dev libjpeg62-turbo-dev libutfcpp-dev libeigen3-dev libgtest-dev libbenchmark-dev)
for lane in "$@"; do
  [ "$lane" = fuzz ] && packages+=(clang-14 libclang-rt-14-dev)
  [ "$lane" = test ] && packages+=(chromium)  # the report's page is tested in it
done
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing Debian packages: ${missing[*]}"
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
else
  say "Debian packages: all installed"
fi

venv=${TENON_VENV:-.venv}
if [ ! -x "$venv/bin/pip" ]; then
  say "making the venv $venv"
  /usr/bin/python3 -m venv "$venv"
fi
files=(requirements/build.txt requirements/runtime.txt)
for lane in "$@"; do
  [ "$lane" != runtime ] && [ -f "requirements/$lane.txt" ] && files+=("requirements/$lane.txt")
done
stamp="$venv/.tenon-requirements"
wanted=$(cat "${files[@]}" | sha256sum)
if ! grep -qsF "$wanted" "$stamp"; then
  say "installing Python packages: ${files[*]}"
  arguments=()
  for file in "${files[@]}"; do arguments+=(-r "$file"); done
  "$venv/bin/pip" install -q --disable-pip-version-check "${arguments[@]}"
  echo "$wanted" >> "$stamp"
else
  say "Python packages: all installed"
fi
