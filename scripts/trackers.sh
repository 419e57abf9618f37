#!/bin/sh
# Track runs with trackio and Weights & Biases, and read back what they keep:
#     sh scripts/trackers.sh PYTHON TRACKIO WANDB
# They go into an environment of their own beside PYTHON's packages, which it sees, and nothing else changes: about
# 150 MB, among them the older Pillow that trackio asks for.
set -eu
python=$1
folder=$("$python" -c 'import sys; print(sys.prefix)')/trackers-$2-$3
if [ ! -e "$folder/.done" ]; then
    echo "installing trackio $2 and wandb $3 into $folder"
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$python" -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
        >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "trackio==$2" "wandb==$3"
    touch "$folder/.done"
fi
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
"$folder/bin/python" -c 'import trackio, wandb'
exec "$folder/bin/python" -m pytest tests/test_tracking_packages.py
