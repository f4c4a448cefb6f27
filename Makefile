# Closing Bell. `make demo` runs the main job, `make test` the tests; each sets up everything it needs.
# Needs Python 3.11 or later, make and git.

# The first interpreter that is new enough; the lock was resolved on 3.11.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(name))))
VENV ?= .venv
# Extra package index with CPU builds of torch. Without it pip's own configuration serves (on Linux perhaps with a build
# for GPUs, which does not load without their libraries; the lock has none of them).
TORCH_INDEX ?=

MODE ?= simulated
RECORDINGS ?=
SESSION ?=
TICKERS ?=
COMPANIES ?= 60
SEED ?= 7
PORT ?= 8080
FAULTS ?=
MINUTES ?= 30

BIN := $(VENV)/bin
# The environment is made again only when what it is made from changes.
LOCKED := $(VENV)/.locked-$(shell printf '%s' '$(TORCH_INDEX)' | cat requirements.lock - | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.installed-$(shell cat requirements.lock requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
STACK = --mode '$(MODE)' --recordings '$(RECORDINGS)' --companies '$(COMPANIES)' --seed '$(SEED)' --port '$(PORT)' \
	--faults '$(FAULTS)' --tickers '$(TICKERS)'

.PHONY: help install demo up down test lint bench soak lock
help:
	@sed -n '1,2p' Makefile | cut -c3-; echo "Also: make up, down, bench, soak, install, lock. Variables: see README.md."

install: $(STAMP)

$(LOCKED):
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or later found; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing $$(grep -c == requirements.lock) locked packages into $(VENV) (minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --progress-bar off \
		$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.lock
	@$(BIN)/python -c 'import torch' 2>/dev/null || { $(BIN)/python -m pip uninstall --quiet --yes torch; \
		echo "warning: torch here is a GPU build without its libraries, so FinBERT and its tests will not run;" \
		"set TORCH_INDEX=<a package index with CPU builds of torch> and run again" >&2; }
	@rm -f $(VENV)/.locked-*
	@touch $@

$(STAMP): $(LOCKED)
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet -e .
	@rm -f $(VENV)/.installed-*
	@touch $@

demo: $(STAMP)
	@$(BIN)/closingbell demo $(STACK) --session '$(SESSION)'

up: $(STAMP)
	@$(BIN)/closingbell up $(STACK) --session '$(SESSION)'

down: $(STAMP)
	@$(BIN)/closingbell down

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -m "not soak" -n 3 --dist loadfile --no-loadscope-reorder  # the real Airflow first: it takes longest

bench: $(STAMP)
	@$(BIN)/python -m tests.benchmarks

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak tests/e2e
	@$(BIN)/python -m tests.e2e.soak --minutes '$(MINUTES)' --companies '$(COMPANIES)' --port '$(PORT)'

# Resolves requirements.txt and the development tools afresh; nothing is installed.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --disable-pip-version-check --dry-run --ignore-installed --quiet \
		--report build/lock/report.json -r requirements.txt '.[dev]' 'setuptools>=75' wheel
	$(PYTHON) .ci/lock.py < build/lock/report.json > build/lock/requirements.lock
	mv build/lock/requirements.lock requirements.lock
