# Every target makes its virtual environment first, where it is missing or out of date: .venv, or .venv-core.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
CORE := .venv-core/bin
CORE_READY := .venv-core/.ready
FAST := not slow and not install and not gpu
# A python with a CUDA build of torch, for test-gpu.
PYTHON_GPU ?=

export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-core test-slow test-gpu lint types docs clean

help:  ## list the targets
	@echo "recdistill: make TARGET"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY)  ## the built-in experiment: teacher, soft labels, students, report in runs/synthetic
	@echo "==> Running the synthetic experiment (a few minutes); the report will be in runs/synthetic"
	@$(BIN)/recdistill run --out runs/synthetic

test: lint types  ## lint, types and the fast tests
	@echo "==> Running the fast tests on 2 processes"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "$(FAST)"

test-core: $(CORE_READY)  ## the fast tests where torchrec is not installed
	@echo "==> Running the fast tests without torchrec on 2 processes; what is skipped is said"
	@$(CORE)/python -c 'import importlib.util as u, sys; there = [n for n in ("torchrec", "fbgemm_gpu", "ray") if u.find_spec(n)]; there and sys.exit(f"the core is tested without {there}: remove .venv-core")'
	@$(CORE)/python -m pytest -n 2 --dist loadgroup -rs -m "$(FAST)"

test-slow: $(READY)  ## the slow tests: whole experiments, installing the package
	@echo "==> Running the slow tests (several minutes)"
	@$(BIN)/python -m pytest -m "(slow or install) and not gpu"

test-gpu: $(if $(PYTHON_GPU),,$(READY))  ## tests on a CUDA device; PYTHON_GPU=python of an environment whose torch has CUDA
	@echo "==> Running the tests that need a GPU; without one they are skipped"
	@$(or $(PYTHON_GPU),$(BIN)/python) -m pytest -rs -m gpu

lint: $(READY)  ## ruff: rules and format
	@echo "==> Checking style (ruff)"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	@echo "==> Checking types (mypy; the first time takes a minute)"
	@$(BIN)/mypy

docs: $(READY)  ## the pages of docs/ as a site, in docs/_build
	@echo "==> Building the site; a warning is an error"
	@$(BIN)/python -m sphinx -q -W -n --keep-going docs docs/_build
	@echo "==> Open docs/_build/index.html"

clean:  ## remove the virtual environments, builds and caches; runs/ and data/ stay
	rm -rf .venv .venv-core build dist docs/_build *.egg-info shims/*/build shims/*/*.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find recdistill tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call install,FOLDER,REQUIREMENTS,SIZE)
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or later is needed, got {sys.version.split()[0]}: make PYTHON=...")'
	@echo "==> Installing into $(1) (about $(3) on disk; a minute or two, most of it PyTorch)"
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --progress-bar off -r $(2)
	@touch $@
endef

$(READY): pyproject.toml requirements-cpu.txt shims/fbgemm-gpu/pyproject.toml
	$(call install,.venv,requirements-cpu.txt,1 GB)

$(CORE_READY): pyproject.toml requirements-core.txt
	$(call install,.venv-core,requirements-core.txt,1 GB)
