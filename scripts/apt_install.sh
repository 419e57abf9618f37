#!/bin/sh
# Installs Debian packages, those named, as root or by sudo.
set -eu
run=""
if [ "$(id -u)" != 0 ]; then
    run="sudo"
fi
$run apt-get update -qq
$run apt-get install -y -qq --no-install-recommends "$@"
