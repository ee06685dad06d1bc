# `make demo` and `make test` are the two commands; each sets up .venv first if it has to.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SET_UP := .venv/.set-up

.DEFAULT_GOAL := help
.PHONY: help setup demo test cover lint bench lab engines-zipline lock clean

help:  ## print every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(SET_UP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Python 3.11 is needed: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up .venv (once, some minutes)"
	@if command -v uv >/dev/null; then \
	  test -x $(BIN)/python || uv venv -q --python $(PYTHON) .venv; \
	  uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock; \
	  uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@$(BIN)/python -m workbench.research.warm
	@touch $@

setup: $(SET_UP)  ## make .venv from requirements.lock (done by the others when needed)

demo: $(SET_UP)  ## the sample world through all five layers; ends with a page to open
	@$(BIN)/workbench demo

test: $(SET_UP)  ## every test, notebooks included
	@$(BIN)/python -m pytest -n 2 --dist loadscope $(TESTS)
	@$(BIN)/python -m pytest -o addopts= -q --nbval --nbval-current-env \
	  --nbval-sanitize-with tests/golden/sanitize.cfg tests/golden

cover: $(SET_UP)  ## branch coverage of the pure files, 95 % or it fails
	@NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -p no:nbval -n 2 --dist loadscope -o addopts= -q \
	  tests/risk tests/execution tests/strategies tests/judges tests/test_domain.py \
	  tests/parity/test_page.py --cov --cov-branch --cov-report=term

lint: $(SET_UP)  ## formatting, lint, types, import rules, clean notebooks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb

bench: $(SET_UP)  ## the speed figures, as ratios against a named peer
	@$(BIN)/python benchmarks/replay_speed.py
	@$(BIN)/python -m benchmarks.panel
	@$(BIN)/python -m benchmarks.lake_speed
	@$(BIN)/python -m benchmarks.votes_speed
	@$(BIN)/python benchmarks/sweep_speed.py
	@$(BIN)/python -m benchmarks.judge_speed

lab: $(SET_UP)  ## JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir=.

engines-zipline:  ## make .venv-zipline, in which crosscheck runs zipline
	@if command -v uv >/dev/null; then \
	  uv venv -q --allow-existing --python $(PYTHON) .venv-zipline; \
	  uv pip install -q --python .venv-zipline/bin/python 'zipline-reloaded==3.2.1' 'pandas<3'; \
	else \
	  $(PYTHON) -m venv .venv-zipline; \
	  .venv-zipline/bin/python -m pip install -q 'zipline-reloaded==3.2.1' 'pandas<3'; \
	fi

lock:  ## make requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate -q -o requirements.lock

clean:  ## remove everything made, the lake and the journal kept
	rm -rf .venv .venv-zipline build dist .pytest_cache .ruff_cache .hypothesis
	find workbench tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
