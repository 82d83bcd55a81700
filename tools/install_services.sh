#!/usr/bin/env bash
# Installs the servers, the browser and the compiler that the tests need, where Debian's packages have them and they are
# missing.
# A developer's machine needs none of them: each test that misses one says which and is skipped.
set -euo pipefail

declare -A package_of=(
    [initdb]=postgresql
    [redis-server]=redis-server
    [chromium]=chromium
    [fc-list]=fontconfig
    [make]=make
    [age]=age
    [c++]=g++
)

present() {
    command -v "$1" >/dev/null || [[ -n "$(compgen -G "/usr/lib/postgresql/*/bin/$1")" ]]
}

missing=()
for command in "${!package_of[@]}"; do
    present "$command" || missing+=("${package_of[$command]}")
done
# Pages are measured with text in them: without one font Chromium draws boxes.
compgen -G "/usr/share/fonts/truetype/dejavu/*" >/dev/null || missing+=(fonts-dejavu-core)
# Debian's Python comes without what `python3 -m venv` needs.
python3 -c "import ensurepip, venv" 2>/dev/null || missing+=(python3-venv)
# One package that only tests compare with is compiled when it is installed.
python3 -c "import pathlib, sysconfig; pathlib.Path(sysconfig.get_path('include'), 'Python.h').stat()" 2>/dev/null ||
    missing+=(python3-dev)

((${#missing[@]})) || exit 0
if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}, and there is no apt-get here: install them by hand" >&2
    exit 1
fi
root=()
((EUID == 0)) || root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${root[@]}" apt-get update -q
# Debian would start a cluster and a server of its own at once; the tests start theirs on free ports.
"${root[@]}" env RUNLEVEL=1 apt-get install -q -y --no-install-recommends "${missing[@]}"
