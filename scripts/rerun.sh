#!/bin/sh
# Write recordings for Rerun's viewer, and read them back with its own reader:
#     sh scripts/rerun.sh PYTHON VERSION
# rerun-sdk goes into a folder of its own beside PYTHON's packages, and nothing else changes: a download of 170 MB, 500
# on the disk.
set -eu
python=$1
folder=$("$python" -c 'import sys; print(sys.prefix)')/rerun-$2
if [ ! -e "$folder/.done" ]; then
    echo "installing rerun-sdk $2 into $folder"
    rm -rf "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --target "$folder" "rerun-sdk==$2" \
        attrs psutil
    touch "$folder/.done"
fi
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD/src:$folder${PYTHONPATH:+:$PYTHONPATH}"
"$python" -c 'import rerun'
exec "$python" -m pytest tests/test_recording.py
