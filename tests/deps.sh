#!/bin/sh
# Installs what the tests need and this machine lacks: Debian packages (only as root or with sudo) and Python clients
# in .venv. Run twice, it does nothing the second time.
set -eu
cd "$(dirname "$0")/.."

missing=""
need() { # PACKAGE, then a command that succeeds when it is there
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
have_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
have_cjk_font() { find /usr/share/fonts /usr/local/share/fonts -iname '*cjk*' 2>/dev/null | grep -q .; }

need chromium have_chromium
need fonts-noto-cjk have_cjk_font
need systemd command -v systemd-analyze
need python3-venv python3 -c 'import venv, ensurepip'

if [ -n "$missing" ]; then
    root=""
    [ "$(id -u)" = 0 ] || root="sudo -n"
    if command -v apt-get >/dev/null && $root true 2>/dev/null; then
        echo "installing$missing"
        $root apt-get update -qq
        # shellcheck disable=SC2086 # one word per package
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "not installed (this needs root and apt):$missing; the tests that need them will say so"
    fi
fi

list=tests/clients/requirements.txt
if [ -f "$list" ] && ! cmp -s "$list" .venv/installed; then
    echo "installing the Python clients of $list into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$list"
    cp "$list" .venv/installed
fi
