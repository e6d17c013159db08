#!/usr/bin/env bash
# Plants the faults of tests/mutants.py one by one and reports which of them the tests let live.
# Some minutes; status 1 if one does.       recipes/mutants.sh [WORD...]   only those that hold a word
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
OMP_NUM_THREADS=1 exec "${PYTHON:-.venv/bin/python}" tests/mutants.py "$@"
