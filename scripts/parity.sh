#!/bin/sh
# Compare our network with an older transformers than the one that is installed, which the other tests use:
#     sh scripts/parity.sh PYTHON VERSION
# It goes into a folder of its own beside PYTHON's packages, with what it needs that they lack, and nothing else changes.
set -eu
python=$1
version=$2
folder=$("$python" -c 'import sys; print(sys.prefix)')/transformers-$version
if [ ! -e "$folder/.done" ]; then
    echo "installing transformers $version into $folder"
    rm -rf "$folder"
    "$python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --target "$folder" \
        "transformers==$version" "huggingface_hub>=1.5,<2" "httpx>=0.27,<1" "httpcore>=1,<2" \
        anyio certifi h11 idna
    touch "$folder/.done"
fi
PYTHONPATH="$folder${PYTHONPATH:+:$PYTHONPATH}" RIG_TRANSFORMERS=$version "$python" -m pytest -q -p no:cacheprovider \
    tests/test_model_parity.py
