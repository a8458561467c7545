#!/usr/bin/env bash
# Makes .venv with the versions of requirements.lock and this project in it. `make` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "error: $*" >&2; exit 1; }
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed; if it has another name here, say PYTHON=NAME make ..."
}

# Debian keeps the part of venv that brings pip in a package of its own. Without it: the pip that is there, or that package.
make_venv() {
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 && return
    if "$python" -m venv --clear --without-pip .venv 2>/dev/null &&
        "$python" -m pip --python .venv/bin/python install --quiet pip 2>/dev/null; then
        return
    fi
    rm -rf .venv
    if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
        echo "Installing Debian's python3-venv ..."
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null &&
            "$python" -m venv .venv && return
    fi
    rm -rf .venv
    fail "$python cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)"
}

python=$(find_python)
if [[ -e .venv/installing ]]; then
    echo "The last installation was cut off; starting it again."
fi
if [[ ! -x .venv/bin/python || -e .venv/installing ]] || ! grep -qsF " $(pwd -P)/.venv" .venv/pyvenv.cfg; then
    make_venv
fi
touch .venv/installing
# Killed from here on, pip may leave a package half unpacked, and would not see it: the marker stays, the next call
# starts anew. Where pip itself gives up (no network), all that it has installed is whole.
trap 'exit 130' INT
gave_up() { rm .venv/installing; exit 1; }

total=$(grep -c '^[a-zA-Z]' requirements.lock)
echo "Installing the locked versions into .venv; the first time this is about 3 GB to download, most of it PyTorch."
pip install --progress-bar off -r requirements.lock | awk -v total="$total" '
    /^(Collecting|Processing|Requirement already)/ && ++n % 20 == 0 { print "  " n " of about " total " packages found"; fflush() }
    /^ *Downloading .*(MB|GB)\)/ { print "  " $0; fflush() }
    /^Installing collected/ { print "  unpacking them all: minutes"; fflush() }' || gave_up
pip install --quiet --no-deps -e . || gave_up
mv .venv/installing .venv/installed
