# Every verb of the project. `make` lists them; each sets up what it needs and is quick the second time.

VENV := .venv
PY := $(VENV)/bin/python
STAMPS := .stamps
ARGS ?=
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo test test-live check audit bench fuzz docs coverage format clean

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1	\2/' | expand -t 18

demo: $(STAMPS)/run ## run the demo at http://localhost:8200 (ARGS="--offline --browser firefox" for more)
	$(VENV)/bin/pushkeep demo $(ARGS)

test: $(STAMPS)/dev $(STAMPS)/system $(STAMPS)/peers ## set up everything and run all tests (ARGS="-k NAME" for some)
	$(PY) -m pushkeep.testing.offline -- $(PY) -m pytest $(ARGS)

test-live: $(STAMPS)/dev ## compare the real push services with the recordings (internet; says what else it needs)
	@$(PY) -m tests.recorded.live

check: $(STAMPS)/dev coverage audit ## lint, types, layers, docs in step, protocol coverage, dependencies
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) tools/reference.py --check
	$(PY) -m pytest -q tests/tidy

audit: $(STAMPS)/dev ## ask the registry for known weaknesses of every pinned package; once a day, and without a network it says so
	@$(PY) tools/audit.py

coverage: $(STAMPS)/dev ## branch coverage of protocol/ by its own tests must be 100 %
	$(PY) -m pytest -q tests/protocol --cov=pushkeep.protocol --cov-branch --cov-fail-under=100 --cov-report=

bench: $(STAMPS)/dev $(STAMPS)/bench $(STAMPS)/peers ## compare the sender with the floor and its peers, and the engine with the sender (BENCH_FULL=1: a million)
	$(PY) -m bench $(ARGS)

fuzz: $(STAMPS)/dev $(STAMPS)/fuzz ## feed every parser for SECONDS=60 each, guided by coverage
	$(PY) -m tests.fuzz.atheris_main all --seconds $(SECONDS)

docs: $(STAMPS)/dev ## write the reference pages from the code
	$(PY) tools/reference.py

format: $(STAMPS)/dev ## format the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean: ## remove the environment and everything generated
	rm -rf $(VENV) $(STAMPS) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-output tests/peers/node_modules

# What is set up leaves a stamp, so that a second run installs nothing.
$(STAMPS)/run: pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh run

$(STAMPS)/dev: pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh dev

$(STAMPS)/system: tools/setup.sh
	@tools/setup.sh system

$(STAMPS)/peers: tests/peers/package.json tools/setup.sh
	@tools/setup.sh peers

$(STAMPS)/fuzz: pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh fuzz

$(STAMPS)/bench: pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh bench
