#!/bin/sh
# Installs Debian packages, those named, as root or by sudo.
set -eu
run=""
if [ "$(id -u)" != 0 ]; then
    run="sudo"
    if ! command -v sudo >/dev/null; then
        echo "only root may install these, and there is no sudo; as root: apt-get install $*" >&2
        exit 1
    fi
fi
$run apt-get update -qq
$run apt-get install -y -qq --no-install-recommends "$@"
