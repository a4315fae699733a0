# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
SHELL := /bin/sh
# the first that is new enough and can make an environment: Debian keeps ensurepip in a package of its own
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { command -v $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
LOCK := constraints.txt
RESULT ?= demo-result
WORKERS ?= 2

.PHONY: demo test check coverage bench docs lock clean debian
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/osteon demo --out $(RESULT) --replace

test: debian $(VENV)/.installed-dev
	$(MAKE) --no-print-directory check

# every check there is, on an environment that is set up; with a new worker for one that died, loadfile waits for ever
check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations=25 $(PYTEST)

# the same tests, and which lines and branches no test reaches; the tracer makes them take 1.4 times as long
coverage: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory check PYTEST="--cov --cov-report=term:skip-covered"

bench: $(VENV)/.installed-dev
	@for file in bench/*.py; do \
		grep -q -e '"--json"' $$file || continue; \
		echo "== $$file"; $(BIN)/python -m bench.$$(basename $$file .py) --json out/$$(basename $$file .py).json || exit 1; \
	done

docs: $(VENV)/.installed-dev
	$(PIP) install -c $(LOCK) -e '.[docs]'
	$(BIN)/mkdocs build --strict

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "osteon needs Python 3.11, 3.12 or 3.13 with its venv module; none was found." \
		"On Debian: apt-get install python3-venv. Or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) could not make the environment $(VENV)" >&2; rm -rf $(VENV); exit 1; }

# reading needs no torch: the shipped models carry the graph that OpenVINO runs
$(VENV)/.installed: pyproject.toml $(LOCK) | $(BIN)/python
	@echo "Installing pinned packages into $(VENV) (a minute or two) ..."
	$(PIP) install -c $(LOCK) -e '.[models,slides,archive]'
	@echo "Compiling what is compiled on first use (half a minute) ..."
	$(BIN)/osteon demo --prepare --quiet
	touch $@

# torch first and by its exact version: a resolver left alone would take a newer build with gigabytes of CUDA packages
$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c $(LOCK) torch
	$(PIP) install -c $(LOCK) -e '.[models,torch,backbones,slides,train,archive,postgres,ray,bench,dev]'
	touch $@

# dciodvfy (dicom3tools) checks the DICOM objects that tests write; the archive is tested on PostgreSQL too
debian:
	@lacking() { command -v dciodvfy >/dev/null 2>&1 || echo dicom3tools; \
		{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || echo postgresql; }; \
	wanted=$$(lacking); test -z "$$wanted" && exit 0; \
	if command -v apt-get >/dev/null 2>&1 && { [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then \
		as=$$([ "$$(id -u)" = 0 ] || echo sudo); echo "Installing" $$wanted "..."; \
		$$as apt-get update -qq && $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$wanted >/dev/null; \
	fi; \
	wanted=$$(lacking); test -z "$$wanted" || \
	echo "not installed, and cannot be installed here:" $$wanted "- the tests that need them will be skipped" >&2

# write the lock again from what is installed now: only what pyproject.toml needs
lock: $(VENV)/.installed-dev
	$(PIP) install -c $(LOCK) -e '.[docs]'
	$(BIN)/python scripts/write_lock.py > $(LOCK).new && mv $(LOCK).new $(LOCK)

clean:
	rm -rf $(VENV) build site out demo-result .mypy_cache .ruff_cache .pytest_cache
