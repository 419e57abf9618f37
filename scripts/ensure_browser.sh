#!/bin/sh
# The viewer's tests drive a real Chromium. Install it from Debian's packages where it is missing.
set -eu
if [ "${RIG_SKIP_BROWSER:-}" = 1 ]; then
    echo "RIG_SKIP_BROWSER=1: the viewer's tests in a real browser are skipped"
    exit 0
fi
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "chromium and chromedriver are missing and there is no apt-get; install them, or set RIG_SKIP_BROWSER=1" >&2
    exit 1
fi
run=""
if [ "$(id -u)" != 0 ]; then
    run="sudo"
fi
echo "installing chromium and chromium-driver for the viewer's tests (RIG_SKIP_BROWSER=1 skips them)"
$run apt-get update -qq
$run apt-get install -y -qq --no-install-recommends chromium chromium-driver
