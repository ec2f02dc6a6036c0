# Everything from a fresh clone: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOWEST := .venv-lowest
RUN    ?=
SEED   ?=

# "compat" puts the checkout on Python's path; by the default, a user's script beside a clone that is
# called hpobench would import the clone's folder instead of the package in it.
INSTALL := pip install --quiet --config-settings editable_mode=compat

# Tests of one file share what it made, so they stay in one process. The order is that of
# tests/conftest.py: what runs on Ray goes first. One process more than there are cores: what waits
# for Ray leaves its core to another.
CORES := $(shell getconf _NPROCESSORS_ONLN)
TESTS := -m pytest --numprocesses $(shell expr $(CORES) + 1) --maxprocesses 4 \
	--dist loadfile --no-loadscope-reorder

# Tests start processes by the hundred: what Python compiles, it keeps.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-lowest check chaos bench gpu clean

demo: $(VENV)/.installed  ## Race every searcher on the digits; prints the table and the report's path
	$(BIN)/hpobench run demo $(if $(RUN),--out $(RUN))

test: $(VENV)/.developer  ## Run the tests, on all cores
	$(BIN)/python $(TESTS)

test-fast: $(VENV)/.developer  ## Run those that need neither Ray nor much time
	$(BIN)/python $(TESTS) -m "not ray and not slow"

test-lowest: $(LOWEST)/.installed  ## Run them with the lowest versions that pyproject.toml allows
	$(LOWEST)/bin/python $(TESTS)

check: $(VENV)/.developer  ## Style, types, and that imports point one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

chaos: $(VENV)/.developer  ## Kill, freeze, tear, fill: what is lost? (25 minutes at most)
	$(BIN)/python -m tests.chaos.chaos $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.installed  ## What the framework, each engine and the optimizers cost (an hour or two)
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/results_at_scale.py
	$(BIN)/python benchmarks/same_searcher_twice.py
	$(BIN)/python benchmarks/equal_searchers.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/online.py
	$(BIN)/python benchmarks/reversible.py

gpu: $(VENV)/.developer  ## On a CUDA card: tests, engines, optimizers, a study (9 minutes)
	$(BIN)/python benchmarks/gpu.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m $(INSTALL) --constraint constraints.txt --editable .
	touch $@

$(VENV)/.developer: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m $(INSTALL) --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.installed

$(LOWEST)/.installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m $(INSTALL) --constraint constraints-lowest.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
