# One command per intent; `make` alone lists them. Every target makes the set-up that it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run ui test check contracts format bench bench-setup lock clean

PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -c '' 2>/dev/null && echo python3.12 || { command -v python3.11 >/dev/null 2>&1 && python3.11 -c '' 2>/dev/null && echo python3.11; } || echo python3)
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
# Bytecode is kept: without it every process compiles its imports again (19 CPU s against 10).
unexport PYTHONDONTWRITEBYTECODE
COMPANY ?= example
HOME_FLAG := $(if $(STOCKLAKE_HOME),--home $(STOCKLAKE_HOME),)
BIN := .venv/bin
STOCKLAKE := $(BIN)/stocklake
# crashes_stream is a part of crashes, features_* of features, with commands of their own.
BENCHMARKS := $(filter-out crashes_stream features_%,$(patsubst benchmarks/%.py,%,$(shell grep -l __main__ benchmarks/*.py)))

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

run: .venv/run.stamp ## exports in, proposed purchase orders out (COMPANY=example)
	@$(STOCKLAKE) run --company $(COMPANY) $(HOME_FLAG)

ui: .venv/run.stamp ## the Dagster UI of a company, until Ctrl-C (COMPANY=example, PORT=3000)
	@$(STOCKLAKE) ui --company $(COMPANY) $(HOME_FLAG) --port $(or $(PORT),3000)

test: .venv/dev.stamp ## every test
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 15

contracts: .venv/dev.stamp ## breaking changes of contracts have a new version (BASE=revision; by default where this work departs from main)
	@$(STOCKLAKE) contract diff companies --against $(or $(BASE),parent)

check: .venv/dev.stamp contracts ## contracts, ruff, mypy strict, sqlfluff, dg check defs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint dbt_project --processes 2
	@mkdir -p .venv/dagster && printf 'telemetry:\n  enabled: false\n' > .venv/dagster/dagster.yaml
	DAGSTER_HOME=$(CURDIR)/.venv/dagster DAGSTER_DISABLE_TELEMETRY=yes $(BIN)/dg check defs

format: .venv/dev.stamp ## let ruff write the layout
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-setup ## every benchmark, ours beside the peer's
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

bench-setup: .venv/dev.stamp .venv-peers/stamp .venv-peers-numpy1/stamp ## the venvs of the peers that benchmarks compare with

lock: .venv/dev.stamp ## resolve the locks again: to run, to develop, the benchmarks' peers
	$(BIN)/uv pip compile --universal --no-emit-index-url --generate-hashes --upgrade -q -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --universal --no-emit-index-url --generate-hashes -q --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	@for peers in peers peers-numpy1; do echo "benchmarks/requirements-$$peers.lock"; $(BIN)/uv pip compile --universal --no-emit-index-url --generate-hashes --upgrade -q --python-version 3.11 -o benchmarks/requirements-$$peers.lock benchmarks/$$peers.in || exit 1; done

clean: ## remove the venvs and everything that runs made
	rm -rf .venv .venv-peers .venv-peers-numpy1 .stocklake

.venv/bin/uv: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else "Stocklake needs Python 3.11 or 3.12, and this is %d.%d: make PYTHON=python3.12" % v)'
	@echo "Setting up .venv (once)"
	@[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@touch $@

# A development venv has everything that a run needs: it satisfies both stamps.
.venv/run.stamp: .venv/bin/uv requirements.lock pyproject.toml
	@$(call sync,requirements.lock)
	@rm -f .venv/dev.stamp
	@touch $@

.venv/dev.stamp: .venv/bin/uv requirements-dev.lock pyproject.toml
	@$(call sync,requirements-dev.lock)
	@touch .venv/run.stamp $@

# The peers never meet Stocklake's own packages, nor those that ask for another numpy: venvs of their own, of the same Python.
.venv-peers/stamp .venv-peers-numpy1/stamp: .venv-%/stamp: .venv/bin/uv benchmarks/requirements-%.lock
	@echo "Setting up .venv-$* (once)"
	@[ -x .venv-$*/bin/python ] || $(BIN)/python -m venv --without-pip .venv-$*
	@$(BIN)/uv pip sync --quiet --require-hashes --python .venv-$*/bin/python benchmarks/requirements-$*.lock
	@touch $@

define sync
$(BIN)/uv pip sync --quiet --require-hashes $(1) && $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
endef
