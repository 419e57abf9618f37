#!/bin/sh
# Installs Debian packages, those named, as root or by sudo. Who may do neither is told what to ask for, and it goes on
# without: tests that need a missing program are skipped, and commands say what they lack.
set -eu
run=""
if [ "$(id -u)" != 0 ]; then
    run="sudo"
    if ! command -v sudo >/dev/null || { ! sudo -n true 2>/dev/null && ! [ -t 0 ]; }; then
        echo "not root, so not installed; what needs it is skipped. Let somebody run: apt-get install $*" >&2
        exit 0
    fi
fi
$run apt-get update -qq
$run apt-get install -y -qq --no-install-recommends "$@"
