#!/bin/sh
# Renew the hashed locks (needs uv). They hold names, versions and hashes, never an address.
set -eu
cd "$(dirname "$0")/.."
lock() { out=$1; shift; uv pip compile --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-header --quiet "$@" pyproject.toml -o "requirements/$out"; }
lock run.txt --extra embedded --extra build
lock dev.txt --extra embedded --extra build --extra dev -c requirements/run.txt
