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
    echo "chromium and chromedriver are missing and there is no apt-get: the tests that need them are skipped" >&2
    exit 0
fi
echo "installing chromium and chromium-driver for the viewer's tests (RIG_SKIP_BROWSER=1 skips them)"
sh "$(dirname "$0")/apt_install.sh" chromium chromium-driver
