# Everything starts here: `make run`, `make test`, `make lint`, `make bench`. Each sets up uv and .venv by itself.
# Needs Python 3.11 or newer, with pip or venv, git and make. Never downloads a Python.

PYTHON  ?= python3
OUT     ?= runs/mini
WORKERS ?= 2
BIN     := .venv/bin

export UV_PYTHON_DOWNLOADS := never
export NO_MKDOCS_2_WARNING := 1
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)

.PHONY: help run test test-long lint docs bench gpu-check lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

run: .venv/.ready ## the paper's Figures 1, 3 and 5 on the embedded MNIST digits (preset mini)
	$(BIN)/invrob empirical run --preset mini --out $(OUT)

test: .venv/.ready ## the test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not long"

test-long: .venv/.ready ## kills by the hundred, a Ray cluster, a browser, the commands of the docs, the wheel
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m long

docs: .venv/.ready ## the documentation, into site/; a broken link or reference is an error
	$(BIN)/mkdocs build --strict

lint: .venv/.ready ## ruff, mypy, bandit and pip-audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit -q -c pyproject.toml -r invrob tools benchmarks cli.py
	$(BIN)/python tools/audit.py

bench: .venv/.ready ## profiles and rotation against the peers, side by side
	$(BIN)/python -m benchmarks

gpu-check: .venv/.ready ## check and time everything on a GPU, nine minutes at a time: the same command goes on
	$(BIN)/python -m tools.gpu_check --out gpu --minutes 9

lock: .venv/.ready ## compile requirements.lock again (pinned, hashed, no URL)
	$(UV) pip compile -q pyproject.toml --all-extras --group bench --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade -o requirements.lock > /dev/null

clean: ## remove the environment and what the tools left
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist site

# pip's --target and venv both work where the system's Python refuses system-wide installs (PEP 668).
.tools/bin/uv:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv \
	  || ($(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet uv) \
	  || (echo "error: $(PYTHON) has neither pip nor venv: install one (Debian: apt install python3-venv) or uv" >&2; exit 1)

# The stamp comes last, so that an interrupted set-up starts again. uv takes the packages from its cache the next time.
.venv/.ready: requirements.lock pyproject.toml | $(filter .tools/bin/uv,$(UV))
	$(UV) venv --quiet --clear --no-managed-python --python '>=3.11' .venv \
	  || (echo "error: invrob needs Python 3.11 or newer on PATH (Debian: apt install python3)" >&2; exit 1)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
