# Two commands matter: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-once demo-reset check format test test-all screens lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

$(VENV)/.run: requirements/run.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make setup: $(PYTHON) was not found; nothing was installed. Install Python 3.11 or later (Debian: apt-get install python3 python3-venv)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make setup: $$($(PYTHON) --version) is too old; nothing was installed. Milepost needs Python 3.11 or later: make setup PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "make setup: the virtual environment could not be made. On Debian and Ubuntu: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.run ## make .venv from the hashed lock with plain pip
setup-dev: $(VENV)/.dev ## the same, with the tools for tests and checks

demo: setup ## the whole house on this machine, with a seeded hub and a mail catcher
	@exec $(BIN)/milepost demo

demo-once: setup ## the main job once, as JSON: the smoke test
	@$(BIN)/milepost demo --once --json

demo-reset: setup ## wipe the demo's data
	@$(BIN)/milepost demo-reset

check: setup-dev ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup-dev ## put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The bar, as in CI: decisions and use cases, branches too. It costs a third of the time, so it is asked for.
COVERAGE := --cov=service.domain --cov=service.usecases --cov-branch --cov-fail-under=90 --cov-report=term:skip-covered

test: setup-dev ## the suite that needs no root, on a real PostgreSQL and Valkey; COVER=1 with the coverage bar
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not (browser or faults or ops or long)" $(if $(COVER),$(COVERAGE)) $(T)

# Half of it waits: for outages to pass, for browsers that stay on a page. So there are twice as many as processors.
test-all: setup-dev ## the browser, fault and installation suites (.ci/run installs what they need)
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "browser or faults or ops or long" $(T)

screens: setup-dev ## retake the screenshots in docs/screens (needs chromium)
	SCREENS=docs $(BIN)/python -m pytest -q tests/browser/test_main_job.py

lock: ## renew the hashed locks (needs uv)
	requirements/compile.sh

clean: ## remove caches and .venv (keeps the demo's data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage
