# `make demo` and `make test` are all the set-up there is: each builds .venv from nothing when it is missing
# or out of step with requirements/, and otherwise leaves it alone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# A stamp is named by what it was built from, so a changed pin or a moved checkout makes it stale by itself.
digest = $(shell cat $(1) pyproject.toml | cksum | tr ' ' -)
place := $(shell pwd -P | cksum | cut -d ' ' -f 1)
RUNTIME := .venv/.stamp-runtime-$(place)-$(call digest,requirements/runtime.txt)
DEV := .venv/.stamp-dev-$(place)-$(call digest,requirements/runtime.txt requirements/dev.txt)

# An environment that no longer runs here (a moved checkout, a removed Python, one older than 3.11) has no stamps.
HAVE := $(shell $(BIN)/python -c 'import os, sys, pip; sys.exit(sys.version_info < (3, 11) or os.path.realpath(sys.prefix) != os.path.realpath(".venv"))' 2>/dev/null && echo yes || rm -f .venv/.stamp-*)

.PHONY: help
help: ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(RUNTIME) ## Load two real cases, show them, damage one byte and find it
	@$(BIN)/comity demo

.PHONY: test
test: lint ## Run every check and every test; needs neither Java nor servers
	@echo 'PostgreSQL and a small broker come from PyPI; `make test-cluster` runs on Apache Kafka' >&2
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

# What needs Apache Kafka, a second implementation in another language, and a minute of faults.
.PHONY: test-cluster
test-cluster: $(DEV) java node kcat ## Run what needs Apache Kafka 4, on one and three brokers, and 60 s of faults
	@$(BIN)/python -c 'from deploy.servers import jars; print("Apache Kafka is in", jars())' >&2
	@TEST_KAFKA=apache $(BIN)/python -m pytest -q tests/kafka tests/kit tests/fire
	@folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; chmod 755 "$$folder"; \
	  $(BIN)/python -m deploy.cluster --folder "$$folder/c" --kafka apache --any-ports --demo >"$$folder/said" \
	    || { cat "$$folder/said"; exit 1; }; \
	  grep -A 4 '^5[.] ' "$$folder/said"

.PHONY: soak
soak: $(DEV) java ## Run ten minutes of mixed faults on three brokers, and check every promise (SEED=n repeats one)
	@$(BIN)/python -m tests.fire --seconds 600 --broker apache --nodes 3 $(if $(SEED),--seed $(SEED))

.PHONY: cluster
cluster: $(DEV) ## Start PostgreSQL, Kafka and all services here, without containers; Ctrl-C stops them
	@$(BIN)/python -m deploy.cluster $(CLUSTER)

.PHONY: cluster-demo
cluster-demo: $(DEV) ## Publish the two real cases through all of it, and show them
	@$(BIN)/python -m deploy.cluster --demo $(CLUSTER)

.PHONY: lint
lint: $(DEV) ## Run the checks alone: ruff, mypy, import contracts, schemas
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m ledger.acts check

.PHONY: format
format: $(DEV) ## Format the sources and mend what can be mended safely
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

.PHONY: bench
bench: $(DEV) ## Measure speed and memory, as ratios to what the libraries do alone
	@$(BIN)/python -m bench

.PHONY: bench-cluster
bench-cluster: $(DEV) ## Measure PostgreSQL, Kafka and the projections, as ratios to what the libraries do alone
	@$(BIN)/python -m bench.postgres
	@$(BIN)/python -m bench.kafka
	@$(BIN)/python -m bench.workers

.PHONY: docs
docs: $(DEV) ## Write the generated pages of docs/ anew
	@$(BIN)/python -m docs.generate

.PHONY: lock
lock: ## Pin requirements/ anew from pyproject.toml (needs uv on the path)
	@uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --upgrade -o requirements/runtime.txt
	@uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet --upgrade \
	  -c requirements/runtime.txt -o requirements/dev.txt

.PHONY: clean
clean: ## Remove what was built, the environment included
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian and its kin get what is missing from their packages, where whoever runs this may install any.
.PHONY: java
java:
	@$(call needed,java,openjdk-17-jre-headless)
	@$(call needed,mvn,maven)

.PHONY: node
node:
	@$(call needed,node,nodejs)

.PHONY: kcat
kcat:
	@( $(call needed,kcat,kcat) ) || echo 'Going on without kcat: its tests are left out' >&2

needed = command -v $(1) >/dev/null || { \
  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
    echo 'Installing $(2) (once)' >&2; \
    { apt-get install -qq -y --no-install-recommends $(2) || { apt-get update -qq && apt-get install -qq -y --no-install-recommends $(2); }; } >/dev/null; \
  else \
    echo 'This needs $(1): on Debian or Ubuntu, apt install $(2); `make test` does without' >&2; exit 1; \
  fi; }

$(RUNTIME): | environment
	@echo 'Installing what comity needs into .venv (once)' >&2
	@$(PIP) install --quiet --require-hashes -r requirements/runtime.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@rm -f .venv/.stamp-runtime-*
	@touch $@

$(DEV): | $(RUNTIME)
	@echo 'Installing what checks comity into .venv (once)' >&2
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@rm -f .venv/.stamp-dev-*
	@touch $@

# Keeps an environment that runs here, and replaces any other.
.PHONY: environment
environment:
ifneq ($(HAVE),yes)
	@for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo 'comity needs Python 3.11 or newer, and found none on the path' >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  version="$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"; \
	  echo "Python $$version cannot build an environment: on Debian or Ubuntu, apt install python$$version-venv" >&2; exit 1; \
	fi; \
	echo "Building .venv with $$("$$python" --version)" >&2; \
	"$$python" -m venv --clear .venv
endif
