#!/bin/sh
# Write recordings for Rerun's viewer, and read them back with its own reader:
#     sh scripts/rerun.sh PYTHON VERSION
# rerun-sdk goes into a folder of its own beside PYTHON's packages, and nothing else changes: a download of 170 MB, 500
# on the disk.
set -eu
python=$1
here=$(cd "$(dirname "$0")" && pwd)
folder=$(sh "$here/beside.sh" "$python" "rerun-$2" "rerun-sdk==$2" attrs psutil)
cd "$here/.."
export PYTHONPATH="$PWD/src:$folder${PYTHONPATH:+:$PYTHONPATH}"
"$python" -c 'import rerun'
exec "$python" -m pytest tests/test_recording.py
