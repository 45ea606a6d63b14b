# Few verbs, all of them set up what they need.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
INSTALL := tools/install.sh
DEV := .venv/dev-installed
RUN := .venv/installed
TOOLS := .venv/tools-brought
COMPILED := .venv/tests-compiled
# Two things at a time where neither needs the other: bring the tools while installing, check while testing.
MAKEFLAGS += --jobs=2
# Where it is set, each process compiles everything anew: two thirds of what a start costs.
unexport PYTHONDONTWRITEBYTECODE
# A file to each process in turn; tests/conftest.py says how many processes are `auto`.
PROCESSES ?= auto
TOGETHER = --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: help demo serve unit test sdks soak coverage check bench crash cluster matrix fresh dist docs clean

help:  ## the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(RUN)  ## look at a gateway with a month of calls, in a temporary directory
	$(BIN)/answerback demo $(ARGS)

serve: $(RUN)  ## run the gateway on 127.0.0.1:8000, data in answerback-data
	$(BIN)/answerback serve $(ARGS)

# Pure code waits for nothing: a third process would only collect once more.
unit: PROCESSES = 2
unit: $(DEV)  ## the tests of pure code, in twenty seconds
	$(BIN)/pytest $(TOGETHER) tests/unit $(ARGS)

test: check tests  ## everything that is checked, then all tests, or those that ARGS names
.PHONY: tests
tests: $(COMPILED) $(TOOLS)
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest $(TOGETHER) --durations 30
endif

sdks: $(DEV)  ## the programs for every language whose toolchain is here, with SDKs from its registry: Java, PHP, Go, C#, Node, Python
	$(BIN)/pytest tests/sdks -m "" $(ARGS)

soak: $(DEV) $(TOOLS)  ## all that looks for what is rare, in rounds, for HOURS (8): random order, kills, faults, fuzzing, properties in depth
	$(BIN)/python tools/soak.py --hours $(or $(HOURS),8)

coverage: $(DEV) $(TOOLS)  ## all tests, or those that ARGS names, and how many lines and branches of each package they go through
	@mkdir -p artefacts/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(if $(ARGS),$(ARGS),$(TOGETHER)); status=$$?; \
	  $(BIN)/coverage combine -q && \
	  $(BIN)/coverage json -q -o artefacts/coverage/report.json && \
	  $(BIN)/coverage report --show-missing && \
	  $(BIN)/python tools/covered.py && exit $$status

check: $(DEV)  ## ruff, mypy strict, import-linter, deptry, documents that are made from the code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry --no-ansi src
	$(BIN)/python docs/generate.py --check
	$(BIN)/python bench/simulate_scaling.py --check
	$(BIN)/python tools/make_monitoring.py --check

bench: $(DEV)  ## measure, and write docs/performance.md's figures to bench/results
	$(BIN)/python bench/prepare.py
	$(BIN)/python bench/run.py $(ARGS)
	$(BIN)/python bench/starting.py
	$(BIN)/python bench/relay.py
	$(BIN)/python bench/console.py
	$(BIN)/python bench/cluster.py
	$(BIN)/python bench/retention.py

crash: $(DEV) $(TOOLS)  ## SIGKILL the server ROUNDS times under load
	ROUNDS=$(or $(ROUNDS),100) $(BIN)/pytest tests/crash -s --timeout 0 $(ARGS)

cluster: $(DEV) $(TOOLS)  ## break each part of a cluster ROUNDS times under load: PostgreSQL, its standby, NATS, each role
	ROUNDS=$(or $(ROUNDS),10) $(BIN)/pytest tests/cluster -m "" -s --timeout 0 $(ARGS)

matrix: $(DEV) $(TOOLS)  ## all tests, or those that ARGS names, on every Python here, on the oldest dependencies and on the newest
	$(INSTALL) -e .[matrix]
	$(BIN)/nox $(if $(ARGS),-- $(ARGS))

fresh:  ## build a bare Debian (SUITE=bookworm) and run `make serve` and `make test` in it, as root and as somebody (WHO)
	tools/fresh.sh $(or $(WHO),root somebody)

dist: $(DEV)  ## build sdist and wheel in dist/, check them, install each extra into an empty environment and try it
	$(INSTALL) -e .[dist]
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/pytest tests/packages -m "" $(ARGS)

docs: $(DEV)  ## regenerate the documents that are made from the code, and build all of them as a site: artefacts/site
	$(BIN)/python docs/generate.py
	$(BIN)/python bench/simulate_scaling.py
	$(BIN)/python tools/make_monitoring.py
	$(INSTALL) -e .[docs]
	$(BIN)/python tools/make_site.py

clean:  ## remove what the verbs made
	rm -rf .venv .nox dist .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts bench/results

.venv/bin/python:
	$(PYTHON) -m venv .venv || { \
	  rm -rf .venv; test "$$(id -u)" = 0 || { echo "Debian keeps venv apart: apt-get install python3-venv"; exit 1; }; \
	  echo "Debian keeps venv apart: installing python3-venv"; \
	  apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv .venv; }

$(RUN): .venv/bin/python pyproject.toml constraints.txt tools/install.sh
	$(INSTALL) -e .[server]
	@touch $@

$(DEV): .venv/bin/python pyproject.toml constraints.txt tools/install.sh
	$(INSTALL) -e .[dev]
	@touch $@ $(RUN)

# Each process would compile all that the tests import, at the same time as the others: 17 s of CPU once instead of three times.
$(COMPILED): $(DEV)
	@$(BIN)/pytest --collect-only -qq >/dev/null || true
	@touch $@

$(TOOLS): .venv/bin/python tools/bring.sh
	@tools/bring.sh $(CURDIR)/.venv/debian
	@touch $@
