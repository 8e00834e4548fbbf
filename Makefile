# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
OUTPUT ?= synthema-demo
PORT ?= 8181

FLARE ?= .venv-flare

.PHONY: help demo test flare lint bench bench-generators conformance tck-target licences clean

help:  ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11.4 or later is needed; name it with: make PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## Three hospitals, a hub and a registry make a certified synthetic dataset under policy
	@$(BIN)/synthema demo --output $(OUTPUT) $(ARGS)

test: $(STAMP)  ## All tests: unit, property, plugins, browser, end to end, crash
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

flare: $(STAMP)  ## NVIDIA FLARE in an environment of its own, for the tests of the engine between machines
	@$(BIN)/synthema study engine $(FLARE) --constraints constraints-flare.txt

lint: $(STAMP)  ## Style, types and the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## One line a benchmark: name, ours, peer, ratio, goal, met or short
	@$(BIN)/python -m tests.benchmarks $(ARGS)

bench-generators: $(STAMP)  ## Compare all generators (hours; goes on where it stopped): ARGS='--data mgus2', ARGS='--table FILE --codebook FILE'
	@$(BIN)/python -m tests.benchmarks.generators $(ARGS)

conformance: $(STAMP)  ## One line an outside suite: name, cases found, passed, expected
	@$(BIN)/python -m tests.conformance $(ARGS)

tck-target: $(STAMP)  ## Our connector for the Eclipse Dataspace Protocol kit (tests/conformance/README.md): PORT=8181
	@$(BIN)/python -m tests.conformance.dsp.target --port $(PORT) --authorization "$(AUTHORIZATION)" $(ARGS)

licences: $(STAMP)  ## Write legal/licences.md from what is installed
	$(BIN)/python legal/licences.py

clean:  ## Remove the virtual environment, caches and the demo's output
	rm -rf $(VENV) $(FLARE) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache $(OUTPUT)
