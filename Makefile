# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: help demo test lint bench conformance licences clean

help:  ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## Three hospitals, a hub and a registry make a certified synthetic dataset under policy
	$(BIN)/synthema demo $(ARGS)

test: $(STAMP)  ## All tests: unit, property, plugins, end to end, crash
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(STAMP)  ## Style, types and the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## One line a benchmark: name, ours, peer, ratio, goal, met or short
	$(BIN)/python -m tests.benchmarks

conformance: $(STAMP)  ## One line an outside suite: name, cases found, passed, expected
	$(BIN)/python -m tests.conformance

licences: $(STAMP)  ## Write legal/licences.md from what is installed
	$(BIN)/python legal/licences.py

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache demo-output
