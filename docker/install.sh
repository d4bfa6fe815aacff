#!/bin/sh
# What the image holds, for Docker and Apptainer alike. Three steps, from what changes least to what changes most:
#   install.sh system          packages of the distribution (as root): git for the provenance, Python where the base has none
#   install.sh packages DIR    the environment /opt/venv with the exact versions of DIR/constraints.txt
#   install.sh program DIR     this package itself, from the checkout in DIR
# TORCH_INDEX names a further package index, as that of PyTorch for CPUs, whose builds are a tenth as large; empty: none.
set -eu

VENV=${VENV:-/opt/venv}

system() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    apt-get install --yes --no-install-recommends ca-certificates git
    if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        apt-get install --yes --no-install-recommends python3 python3-venv
    fi
    rm -rf /var/lib/apt/lists/*
    # A mounted checkout belongs to another user; without this, git would not say which commit it is.
    git config --system --add safe.directory '*'
}

packages() {
    python3 -c 'import sys; sys.exit("Python 3.11 or newer is needed: name another BASE") if sys.version_info < (3, 11) else None'
    python3 -m venv "$VENV"
    torch=$(sed -n 's/^ *"\(torch==[^"]*\)",$/\1/p' "$1/pyproject.toml")
    "$VENV/bin/pip" install --disable-pip-version-check --constraint "$1/constraints.txt" \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} "$torch"
    # The dependencies alone: the package is not there yet, so that a change of the code makes no new environment.
    "$VENV/bin/python" - "$1/pyproject.toml" > /tmp/requirements.txt <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print("\n".join(tomllib.load(file)["project"]["dependencies"]))
PYTHON
    "$VENV/bin/pip" install --disable-pip-version-check --constraint "$1/constraints.txt" --requirement /tmp/requirements.txt
    rm /tmp/requirements.txt
}

program() {
    "$VENV/bin/pip" install --disable-pip-version-check --no-deps --editable "$1"
    "$VENV/bin/evidence-hpo" --help > /dev/null
}

"$@"
