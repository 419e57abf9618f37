#!/bin/sh
# Compare our LeRobotDatasets with those of the lerobot package, which reads ours and writes others:
#     sh scripts/lerobot.sh PYTHON VERSION
# It goes into a folder of its own beside PYTHON's packages, with what its datasets need that they lack, and nothing else
# changes: about 100 MB. lerobot wants older releases of torch and PyAV than ours; its datasets work with these.
set -eu
python=$1
version=$2
here=$(cd "$(dirname "$0")" && pwd)
folder=$(sh "$here/beside.sh" "$python" "lerobot-$version" \
    "lerobot==$version" "datasets>=4,<5" "pandas>=2,<3" "huggingface_hub>=0.34,<0.36" "torchvision>=0.24,<0.26" \
    "dill>=0.3,<0.4.1" "multiprocess<0.70.17" jsonlines xxhash requests urllib3 charset_normalizer fsspec filelock \
    packaging pyyaml python-dateutil pytz tzdata six httpx httpcore anyio h11 idna certifi sniffio)
PYTHONPATH="$folder:$here/../tests${PYTHONPATH:+:$PYTHONPATH}" exec "$python" "$here/lerobot_check.py"
