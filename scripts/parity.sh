#!/bin/sh
# Compare our network with an older transformers than the one that is installed, which the other tests use:
#     sh scripts/parity.sh PYTHON VERSION
# It goes into a folder of its own beside PYTHON's packages, with what it needs that they lack, and nothing else changes.
set -eu
python=$1
version=$2
here=$(cd "$(dirname "$0")" && pwd)
folder=$(sh "$here/beside.sh" "$python" "transformers-$version" \
    "transformers==$version" "huggingface_hub>=1.5,<2" "httpx>=0.27,<1" "httpcore>=1,<2" \
    anyio certifi h11 idna)
PYTHONPATH="$folder${PYTHONPATH:+:$PYTHONPATH}" RIG_TRANSFORMERS=$version "$python" -m pytest -q -p no:cacheprovider \
    tests/test_model_parity.py
