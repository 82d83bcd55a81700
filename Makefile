# `make run` starts everything on this machine; `make help` lists the rest. Each target sets up what it needs first.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
PROCESSES ?= 2
PY := .venv/bin/python
# Node.js may have been put into the virtual environment (tools/install_node.sh); slither looks for forge on PATH.
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help run demo test test-postgres check format bench contracts gas slither kubo setup lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: setup ## start web, workers, beat, signer and a development chain on http://127.0.0.1:8000
	@exec $(PY) manage.py up $(ARGS)

demo: setup ## run the whole story on a fresh instance and verify every step (var/demo/report.json)
	@exec $(PY) manage.py demo $(ARGS)

test: .venv/.dev node_modules/.done ## run all tests; a missing service skips its tests unless CADASTRE_REQUIRE=all
	@$(PY) -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-postgres: .venv/.dev node_modules/.done ## run the tests that touch the database on PostgreSQL and Redis
	@$(PY) -m tests.services postgres redis -- \
		$(PY) -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m "database and not browser and not bulk" $(ARGS)

check: .venv/.dev ## lint, format, types, floors, migrations
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-cache
	@$(PY) manage.py makemigrations --check --dry-run

format: .venv/.dev ## put all sources into the one format
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

bench: .venv/.dev node_modules/.done ## measure, as ratios in one run (bench/results/)
	@$(PY) -m bench $(ARGS)

contracts: setup ## compile the contracts and write contracts/artifacts
	@$(PY) contracts/build.py

gas: setup ## measure what each action costs and write docs/gas.md
	@$(PY) contracts/gas.py

slither: setup .venv-slither/.done ## look for known weaknesses in the contracts
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" .venv-slither/bin/slither . --config-file contracts/slither.json

kubo: ## put Kubo's `ipfs` at var/bin/ipfs
	@$(PYTHON) tools/install_kubo.py

setup: .venv/.run node_modules/.done ## the virtual environment and the packages of Node.js

lock: .venv/.dev ## write requirements*.txt from pyproject.toml and what is installed
	@$(PY) tools/lock_requirements.py

clean: ## remove what make built; instances under var/ stay
	@rm -rf .venv .venv-slither node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Cadastre needs Python 3.11 or newer; this is {sys.version.split()[0]}")'
	@$(PYTHON) -m venv .venv

.venv/.run: requirements.txt requirements-demo.txt | .venv/bin/python
	@echo "Installing Python packages (two minutes the first time) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-demo.txt
	@ln -sf ../../bin/cadastre .venv/bin/cadastre
	@touch $@

.venv/.dev: .venv/.run requirements-dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-demo.txt -r requirements-dev.txt
	@touch $@

# Its own environment: it asks for an older web3 than ours.
.venv-slither/.done: requirements-slither.txt | .venv/bin/python
	@$(PYTHON) -m venv .venv-slither
	@.venv-slither/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-slither.txt
	@touch $@

node_modules/.done: package-lock.json .npmrc tools/vendor.py | .venv/bin/python
	@tools/install_node.sh
	@echo "Installing anvil, forge, browser libraries and fonts …"
	@npm ci --silent
	@$(PY) tools/vendor.py
	@touch $@
