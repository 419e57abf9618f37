#!/bin/sh
# Install packages into a folder of their own beside PYTHON's, once and without what they depend on; say which folder:
#     folder=$(sh scripts/beside.sh PYTHON NAME PACKAGE...)
set -eu
python=$1
folder=$("$python" -c 'import sys; print(sys.prefix)')/$2
if [ ! -e "$folder/.done" ]; then
    echo "installing $2 into $folder" >&2
    rm -rf "$folder"
    shift 2
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --target "$folder" "$@" >&2
    touch "$folder/.done"
fi
echo "$folder"
