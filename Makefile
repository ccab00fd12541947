# `make help` lists what there is. Everything stays in the checkout: .venv/ (programs), .data/ (what is stored), .cache/.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
MINUTES ?= 10
LANES ?= 2
SBOM ?= build/sbom

# The first Python that is new enough and can make virtual environments.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$python"; break; }; done)

# What static checks may be told: nothing answers at these addresses, and nobody asks there.
NOWHERE := DATABASE_URL=postgresql://nobody@127.0.0.1:1/none BROKER_URL=redis://127.0.0.1:1/0 CACHE_URL=redis://127.0.0.1:1/1 \
	SEAL_KEYS=only-for-checks-only-for-checks-only-for-ch \
	SECRET_KEY=only-for-checks-Zq8vT2mKx5wRb9nLc4hJd7gFs3pYa6uEi1oM0tN ALLOWED_HOSTS=checks.invalid

# $(call install,NAME): install requirements/NAME.txt and the project itself, unless exactly that was done here before.
define install
@want="$$(cat requirements/$(1).txt pyproject.toml | cksum) $(CURDIR)"; \
if [ "$$(cat $(VENV)/.installed-$(1) 2>/dev/null)" != "$$want" ]; then \
	echo "Installing requirements/$(1).txt into $(VENV)/ ..." && \
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$(1).txt && \
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	printf '%s\n' "$$want" > $(VENV)/.installed-$(1); \
fi
endef

.DEFAULT_GOAL := help
.PHONY: help up test lint fmt bench bench-locks chaos-locks clean requirements sbom audit local dev

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

up: local  ## start everything on this machine; Ctrl-C stops it, the data stay. ARGS="--workers 2 --only web,worker"
	@exec $(PY) platform/core/devserver/child.py --parent=$$PPID --signal=15 -- $(PY) manage.py up $(ARGS)

test: lint  ## all checks and all tests, in two lanes; CI=true makes an absent component a failure. ARGS="tests/core -k outgoing"
	@exec $(PY) -m pytest $(or $(ARGS),--numprocesses $(LANES) --dist loadgroup --no-loadscope-reorder)

lint: dev  ## style, types, layers, settings of production, missing migrations; needs no running service
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	@$(NOWHERE) $(PY) manage.py check --fail-level WARNING
	@$(NOWHERE) $(PY) manage.py check --deploy --fail-level WARNING --settings config.settings.production
	@$(NOWHERE) $(PY) -W ignore:Got:RuntimeWarning manage.py makemigrations --check --dry-run

fmt: dev  ## repair what ruff can repair by itself
	$(PY) -m ruff check --fix .

bench: dev  ## measure, and write reports to bench/reports/. ARGS="--help"
	@exec $(PY) -m bench $(ARGS)

bench-locks: dev  ## measure locks on three nodes of Cassandra beside the common design and bare LWTs. ARGS="--help"
	@exec $(PY) -m bench.locks $(ARGS)

chaos-locks: dev  ## throw faults at locks on three nodes of Cassandra and write a report with the history. MINUTES=10
	@PYTHONPATH=.:platform exec $(PY) -m tests.locks.chaos --minutes $(MINUTES) $(ARGS)

clean:  ## remove what can be made again; what is stored in .data/ stays
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

requirements:  ## lock requirements/*.txt anew from *.in, for every platform, with hashes (needs uv)
	@command -v uv >/dev/null || { echo "make requirements needs uv: pip install uv"; exit 1; }
	@for name in base s3 local dev audit; do \
		UV_CUSTOM_COMPILE_COMMAND="make requirements" uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url \
			--no-emit-find-links --no-annotate --python-version 3.11 --universal requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

sbom: dev  ## write what is locked as CycloneDX to build/sbom/, without a network. SBOM=folder
	@mkdir -p $(SBOM)
	@for name in base s3 local dev; do \
		$(PY) -W ignore::UserWarning:cyclonedx.model.bom -m cyclonedx_py requirements requirements/$$name.txt \
			--pyproject pyproject.toml --output-reproducible -o $(SBOM)/$$name.cdx.json $(ARGS) || exit 1; \
	done

audit: $(PY)  ## ask about known weaknesses of what is locked; needs a network that answers, and says when it does not
	@if [ -z "$$PIP_AUDIT" ] && [ "$$(cat .cache/audit/.installed 2>/dev/null)" != "$$(cksum < requirements/audit.txt)" ]; then \
		echo "Installing requirements/audit.txt into .cache/audit/ ..." && \
		$(PY) -m venv .cache/audit && \
		.cache/audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt && \
		cksum < requirements/audit.txt > .cache/audit/.installed || true; \
	fi
	@ARGS="$(ARGS)" .ci/audit

local: $(PY)
	$(call install,local)

dev: $(PY)
	$(call install,dev)

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed (Debian: apt install python3 python3-venv); then try again, or name it: make PYTHON=/path/of/python3"; exit 1; }
	@echo "Making $(VENV)/ with $(PYTHON) ..."
	@"$(PYTHON)" -m venv $(VENV)
