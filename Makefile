# Every target makes the virtual environment in .venv first, where it is missing or out of date.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-slow lint types clean

help:  ## list the targets
	@echo "recdistill: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY)  ## the built-in experiment: teacher, soft labels, students, report in runs/synthetic
	@echo "==> Running the synthetic experiment (a few minutes); the report will be in runs/synthetic"
	@$(BIN)/recdistill run --out runs/synthetic

test: lint types  ## lint, types and the fast tests
	@echo "==> Running the fast tests on 2 processes"
	@$(BIN)/python -m pytest -n 2 -m "not slow and not install"

test-slow: $(READY)  ## the slow tests: whole experiments, installing the package
	@echo "==> Running the slow tests (several minutes)"
	@$(BIN)/python -m pytest -m "slow or install"

lint: $(READY)  ## ruff: rules and format
	@echo "==> Checking style (ruff)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	@echo "==> Checking types (mypy; the first time takes a minute)"
	@$(BIN)/mypy

clean:  ## remove the virtual environment, builds and caches; runs/ and data/ stay
	rm -rf .venv build dist *.egg-info shims/*/build shims/*/*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find recdistill tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements-cpu.txt shims/fbgemm-gpu/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or later is needed, got {sys.version.split()[0]}: make PYTHON=...")'
	@echo "==> Installing into .venv (about 1 GB on disk; a minute or two, most of it PyTorch)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --progress-bar off -r requirements-cpu.txt
	@touch $@
