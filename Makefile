# make demo   sets up and edits a real model       make test   sets up and runs all tests
# make lint   sets up and runs ruff and mypy       make setup  sets up, and nothing else

PYTHON ?= python3# 3.11 or later
VENV ?= .venv
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
READY = $(VENV)/.ready
FLOWS = .venv-snakemake# in which the tests run plans; apart, for it brings fifty packages

.PHONY: demo test lint setup

demo: $(READY)
	PATH="$(abspath $(VENV))/bin:$$PATH" bash recipes/demo.sh

test: $(READY) $(FLOWS)/.ready
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile # two at a time; a file's tests share what is dear

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

setup: $(READY)

# torch comes first and alone, so that the version pinned here is the one that everything builds on
$(READY): pyproject.toml constraints.txt setup.py $(wildcard ckptedit/*.h ckptedit/*/*.[ch])
	@test -x $(VENV)/bin/python || \
	    $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "needs Python 3.11 or later: make PYTHON=python3.12"; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.[dev]'
	touch $@

$(FLOWS)/.ready: requirements-snakemake.txt | $(READY)
	$(VENV)/bin/python -m venv $(FLOWS)
	$(FLOWS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-snakemake.txt
	touch $@
