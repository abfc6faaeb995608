#!/bin/sh
# Sets up one thing and leaves a stamp: run | dev | system | peers | fuzz | bench. Called by the Makefile.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .stamps

say() { printf '%s\n' "setup: $*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 127; fi
}

# apt_install PACKAGE... : Debian packages, or a clear sentence about what to install by hand.
apt_install() {
    say "installing Debian packages: $*"
    if ! command -v apt-get >/dev/null; then
        say "this system has no apt-get. Install by hand: $*"
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    as_root true || { say "root or sudo is needed. Run: apt-get install $*"; exit 1; }
    log=.stamps/apt.log
    if ! { as_root apt-get update -q && as_root apt-get install -y -q --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say "apt-get failed (whole log: $log). Install by hand: apt-get install $*"
        exit 1
    fi
}

# need COMMAND PACKAGE : remembers the package of a missing command.
missing=
need() { command -v "$1" >/dev/null || missing="$missing $2"; }

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed. Install it, or set PYTHON=/path/to/python3."
    exit 1
}

make_venv() {
    [ -x .venv/bin/pip ] && return
    python=$(find_python)
    say "making .venv with $python"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    "$python" -m venv .venv
}

# pip_install ARGUMENT... : always under the pinned versions, also for what builds our own package.
pip_install() {
    PIP_CONSTRAINT="$PWD/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install -q "$@"
}

case "${1:-}" in
run)
    make_venv
    say "installing pushkeep with the extras server and testing"
    pip_install -e '.[server,testing]'
    ;;
dev)
    make_venv
    say "installing pushkeep with everything for development"
    pip_install pip
    pip_install -e '.[server,testing]' --group dev
    touch .stamps/run
    ;;
system)
    need firefox-esr firefox-esr
    need chromium chromium
    need dbus-daemon dbus
    need certutil libnss3-tools
    need openssl openssl
    need curl curl
    need ip iproute2
    # A library has no command: Firefox opens it by this name to reach the notification daemon.
    ldconfig -p 2>/dev/null | grep -q 'libnotify\.so\.4' || /sbin/ldconfig -p | grep -q 'libnotify\.so\.4' ||
        missing="$missing libnotify4"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || apt_install $missing
    ;;
peers)
    need node nodejs
    need npm npm
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing
    say "installing the Node peers of tests/peers/package.json"
    log="$PWD/.stamps/npm.log"
    # Scripts of packages are not run, and nothing is asked of any service but the registry that npm is set up for.
    if ! (cd tests/peers && npm install --no-package-lock --ignore-scripts --no-audit --no-fund) >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        say "npm failed (whole log: $log). With a registry that npm can reach, run: make test"
        exit 1
    fi
    ;;
fuzz)
    make_venv
    say "installing the fuzzer"
    pip_install pip
    pip_install --group fuzz
    ;;
bench)
    PATH="$PATH:/usr/sbin" # where Debian keeps nginx, and only root looks
    need nginx nginx-light
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install $missing
    [ -z "$missing" ] || say "only the program is needed; if Debian made it a service too: systemctl disable --now nginx"
    make_venv
    say "installing what draws the benchmark's pictures"
    pip_install pip
    pip_install --group bench
    ;;
*)
    say "usage: tools/setup.sh run|dev|system|peers|fuzz|bench"
    exit 2
    ;;
esac
touch ".stamps/$1"
