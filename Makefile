# Everything a contributor does, by target. Each target sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo quick test test-apiserver apiserver check format bench clean

help:  ## list the targets
	@awk -F':.*##' '/^[a-z-]+:.*##/ { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## virtual environment with everything but the benchmarked peers

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dpf-async needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cli]' --group dev
	@touch $@

demo: $(READY)  ## provision a simulated site from examples/, live, in under a minute
	@$(BIN)/dpf-async demo examples/site.yaml examples/hosts.yaml

quick: $(READY)  ## format, lint, and the fast tests of watches, transitions, requests and models, while you work
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pytest -q -m 'not exhaustive and not apiserver' tests/watch tests/transitions tests/api tests/models $(PYTEST)

test: $(READY)  ## the tests; PYTEST="…" gives pytest more options
	@$(BIN)/pytest -q -n 3 --dist worksteal $(PYTEST)

apiserver: $(READY)  ## build kube-apiserver, etcd and kubectl for the tests, once; needs Go
	@$(BIN)/python tests/apiserver/build.py

test-apiserver: apiserver  ## the tests that need a real API server; PYTEST="…" gives pytest more options
	@$(BIN)/pytest -q -n 4 --dist worksteal -m apiserver $(PYTEST)

check: $(READY)  ## format, lint, spelling, types and their completeness, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@types=$$(PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=src $(BIN)/pyright --verifytypes dpf_async --ignoreexternal) \
	  || { echo "$$types"; exit 1; }
	@$(BIN)/lint-imports --no-cache

format: $(READY)  ## format the code and fix what the linter can fix
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(VENV)/.bench: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group bench
	@touch $@

bench: $(VENV)/.bench  ## measure against kubernetes_asyncio, lightkube and kr8s, side by side
	@$(BIN)/python -m benchmarks

clean:  ## remove what make created
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
