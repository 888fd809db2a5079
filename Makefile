VENV ?= .venv
VENV_D3RLPY ?= .venv-d3rlpy
LOCK := requirements/dev.lock
BIN := $(VENV)/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

# The first interpreter on the path that is recent enough.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

define make_venv
	@test -n "$(PYTHON)" || { echo "groundschool needs Python 3.11 or newer, and none is on the path; name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("groundschool needs Python 3.11 or newer; $(PYTHON) is %d.%d." % sys.version_info[:2])'
	$(PYTHON) -m venv $(1)
endef

.PHONY: demo test test-all test-d3rlpy lint bench bench-ope bench-gate docs lock
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	@$(BIN)/groundschool demo --force

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest

test-all: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -m "not d3rlpy"

test-d3rlpy: $(VENV_D3RLPY)/.installed
	@$(VENV_D3RLPY)/bin/python -m pytest -m d3rlpy tests/parity tests/policies tests/data

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks

bench-ope: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks ope

bench-gate: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks gate

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going docs docs/_build/html

lock: $(VENV)/.installed-dev
	@$(BIN)/python $(PIP_INSTALL) uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra hdf5 --extra minari --extra docs \
		--universal --python-version 3.11 --no-header --upgrade --quiet --output-file $(LOCK)

$(BIN)/python:
	$(call make_venv,$(VENV))

$(VENV)/.installed: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "Installing groundschool into $(VENV) (minutes the first time, then never again until pyproject.toml or the lock changes)."
	@$(BIN)/python $(PIP_INSTALL) --constraint $(LOCK) --editable ".[hdf5,minari]"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "Installing groundschool and its test tools into $(VENV)."
	@$(BIN)/python $(PIP_INSTALL) --constraint $(LOCK) --editable ".[hdf5,minari,dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(VENV)/.installed-dev
	@$(BIN)/python $(PIP_INSTALL) --constraint $(LOCK) --editable ".[hdf5,minari,dev,docs]"
	@touch $@

# d3rlpy pins an older gymnasium and brings torch, so it has its own lock and its own environment. TORCH may name
# another build of torch, with pip's options.
TORCH ?= torch==2.13.0

$(VENV_D3RLPY)/bin/python:
	$(call make_venv,$(VENV_D3RLPY))

$(VENV_D3RLPY)/.installed: pyproject.toml requirements/d3rlpy.lock | $(VENV_D3RLPY)/bin/python
	@echo "Installing groundschool beside d3rlpy into $(VENV_D3RLPY)."
	@$(VENV_D3RLPY)/bin/python $(PIP_INSTALL) $(TORCH)
	@$(VENV_D3RLPY)/bin/python $(PIP_INSTALL) --requirement requirements/d3rlpy.lock
	@$(VENV_D3RLPY)/bin/python $(PIP_INSTALL) --no-deps --editable .
	@touch $@
