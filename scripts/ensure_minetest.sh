#!/bin/sh
# The tests of the Minetest world drive the real engine. Install it from Debian's packages where it is missing.
set -eu
packages=$(cat "$(dirname "$0")/../src/rig/envs/minetest/packages.txt")
if [ "${RIG_SKIP_MINETEST:-}" = 1 ]; then
    echo "RIG_SKIP_MINETEST=1: the tests that need the Minetest engine are skipped where it is missing"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    if command -v minetest >/dev/null && command -v Xvfb >/dev/null; then
        exit 0
    fi
    echo "minetest and Xvfb are missing and there is no apt-get; install them, or set RIG_SKIP_MINETEST=1" >&2
    exit 1
fi
missing=""
for package in $packages; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed"; then
        missing="$missing $package"
    fi
done
if [ -z "$missing" ]; then
    exit 0
fi
echo "installing$missing for the Minetest world (RIG_SKIP_MINETEST=1 skips its tests)"
# shellcheck disable=SC2086
sh "$(dirname "$0")/apt_install.sh" $missing
