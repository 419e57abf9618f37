#!/bin/sh
# Compare our MineStudio world, importers and teachers with the minestudio package, but for its game:
#     sh scripts/minestudio.sh PYTHON VERSION
# It goes into a folder of its own beside PYTHON's packages, with what it needs of those that they lack, and nothing else
# changes: about 310 MB. minestudio wants numpy 1 and older releases of others than ours; what is compared works with these.
set -eu
python=$1
version=$2
here=$(cd "$(dirname "$0")" && pwd)
folder=$(sh "$here/beside.sh" "$python" "minestudio-$version" \
    "minestudio==$version" "opencv-python-headless>=4.10,<5" "minecraft_data==3.20.0" "gym==0.26.2" "gym-notices<1" \
    "einops<1" "lxml>=5" "xmltodict<2" "diskcache>=5,<6" "Pyro4>=4.82,<5" "serpent<2" "daemoniker==0.2.3" \
    "coloredlogs>=15,<16" "humanfriendly>=10,<11")
PYTHONPATH="$folder:$here:$here/../tests${PYTHONPATH:+:$PYTHONPATH}" exec "$python" "$here/minestudio_check.py"
