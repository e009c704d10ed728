# One command for each thing one does here; `make` lists them.
# Everything installs into .venv, pinned by requirements.txt and requirements-dev.txt.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check

# The first of these that is new enough makes .venv. `make clean` first to change it: make clean test PYTHON=python3.13
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

# The last release, and its contracts as buf takes them, also in a worktree
RELEASE = $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null)
RELEASED = $(shell git rev-parse --path-format=absolute --git-common-dir)\#format=git,tag=$(RELEASE)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# What a shell put on Python's path is not part of this project.
unexport PYTHONPATH

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Running

.PHONY: demo
demo: $(VENV)/.runtime ## Settle orders across a crash and reconcile (ORDERS=file.csv for your own, ARGS=… for options)
	@$(BIN)/paylatch demo $(if $(ORDERS),--orders '$(ORDERS)') $(ARGS)

.PHONY: up
up: $(VENV)/.runtime ## Run all three processes in the foreground
	@$(BIN)/paylatch up $(ARGS)

## Testing and checking

.PHONY: test
test: $(VENV)/.dev ## Run the tests, but for the slow ones, on SQLite and PostgreSQL
	$(BIN)/pytest -n auto -m 'not slow' $(ARGS)

.PHONY: test-slow
test-slow: $(VENV)/.dev ## Run the slow tests
	$(BIN)/pytest -n auto --maxschedchunk 1 -m slow $(ARGS)

.PHONY: simulate
simulate: $(VENV)/.dev ## Simulate SEEDS=1000 runs with faults on all cores, or show SEED=n line by line
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),$(if $(SEEDS),--seeds $(SEEDS))) $(ARGS)

.PHONY: boundaries
boundaries: $(VENV)/.dev ## Simulate every fault at every boundary of every scenario, on all cores
	$(BIN)/python -m tests.simulation --boundaries

.PHONY: faults
faults: $(VENV)/.dev ## Make every fault happen to real processes, on all backends, and print one table (as root)
	GRPC_VERBOSITY=ERROR $(BIN)/python -m tests.faults $(ARGS)

.PHONY: faults-quick
faults-quick: $(VENV)/.dev ## A fault of nearly every step, in a minute
	GRPC_VERBOSITY=ERROR $(BIN)/python -m tests.faults --quick $(ARGS)

.PHONY: mutations
mutations: $(VENV)/.dev ## Break the product on purpose in many ways, and show that the simulation catches each
	$(BIN)/python -m tests.mutations $(ARGS)

.PHONY: check
# A backend that is not there fails the tests, instead of being left out.
check: export PAYLATCH_TEST_BACKENDS = all
check: lint types imports proto-check pins-check diagrams-check deploy-check test-slow test faults-quick bench-check ## Everything a change must pass; CI runs this

.PHONY: lint
lint: $(VENV)/.dev ## Lint, and check the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: format
format: $(VENV)/.dev ## Sort imports, mend what can be mended, format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/buf format --write

.PHONY: types
types: $(VENV)/.dev ## Check the types
	$(BIN)/mypy

.PHONY: imports
imports: $(VENV)/.dev ## Check which module may import which
	$(BIN)/lint-imports --no-logo

.PHONY: proto
proto: $(VENV)/.dev ## Write the generated code anew
	$(BIN)/python protos/generate.py

.PHONY: proto-check
proto-check: $(VENV)/.dev ## Check the contracts: style, format, breaking changes, generated code
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(if $(RELEASE),$(BIN)/buf breaking --against '$(RELEASED)',@echo 'buf breaking: no release to compare with')
	$(BIN)/python protos/generate.py --check

.PHONY: diagrams
diagrams: $(VENV)/.dev ## Draw the life cycles, and list the metrics, in the documentation
	$(BIN)/python -m core.rules.diagrams
	$(BIN)/python -m core.telemetry.reference

.PHONY: diagrams-check
diagrams-check: $(VENV)/.dev ## Check the drawn life cycles and the listed metrics against the code
	$(BIN)/python -m core.rules.diagrams --check
	$(BIN)/python -m core.telemetry.reference --check

## Measuring

.PHONY: bench
bench: $(VENV)/.dev ## Measure everything beside the peers (ARGS=--publish writes BENCHMARKS.md; --only, --rounds, --short)
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-check
bench-check: $(VENV)/.dev ## Run every measurement with a few rows: whether it still runs
	$(BIN)/python -m benchmarks --short

.PHONY: endurance
endurance: $(VENV)/.dev ## Drain a million notifications on PostgreSQL and see that the tables stay healthy (ARGS=--rows …)
	$(BIN)/python -m benchmarks.endurance $(ARGS)

.PHONY: deploy-check
deploy-check: $(VENV)/.dev ## Lint the Dockerfile and the manifests
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/yamllint --strict deploy
	$(BIN)/kubernetes-validate --strict --quiet $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml))

.PHONY: pins-check
pins-check: $(VENV)/.dev ## Check that every pin has its hashes, and the bill of materials
	$(BIN)/python -m pins --check

## Setting up

.PHONY: pins
pins: $(VENV)/.dev ## Write the hashes of all pins and the bill of materials (sbom.cdx.json) anew
	PATH="$(BIN):$$PATH" $(BIN)/python -m pins

.PHONY: clean
clean: ## Remove .venv and every cache
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Setting up $(VENV) with $$("$$python" --version)"; \
	        exec "$$python" -m venv --clear $(VENV); \
	    fi; \
	done; \
	echo "paylatch needs Python 3.11 or newer; tried: $(PYTHONS). Name one: make PYTHON=/path/to/python3" >&2; \
	exit 1

# hatchling makes the editable install. Every file that pip takes must have one of the hashes beside its pin.
$(VENV)/.runtime: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	@echo 'Installing what paylatch runs on'
	@$(PIP) install --no-deps --require-hashes --requirement requirements.txt --requirement requirements-build.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-tracing.txt $(VENV)/.runtime
	@echo 'Installing what the tests and checks need'
	@$(PIP) install --no-deps --require-hashes --requirement requirements-dev.txt
	@$(PIP) check
	@touch $@
