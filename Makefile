# Every target makes what it needs. Start with `make serve`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The newest supported Python that runs; a name on PATH may be a shim of a version that is not there.
PYTHON ?= $(shell for each in python3.12 python3.11 python3; do $$each -c '' 2>/dev/null && echo $$each && break; done)
SERVE_ENV := .venv-serve
DEV_ENV := .venv
BIN := $(DEV_ENV)/bin
PROTOS := $(sort $(wildcard protos/loupe/v1/*.proto))

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: doctor
doctor: ## Say what this machine lacks, and how to mend it.
	@$(PYTHON) -m server.doctor

# An environment is complete when its stamp is newer than its lock; an interrupted install leaves no stamp.
$(SERVE_ENV)/.complete: requirements/serve.txt pyproject.toml
	@$(PYTHON) -m server.doctor --before-install
	@bash requirements/install $(PYTHON) $(SERVE_ENV) requirements/serve.txt

$(DEV_ENV)/.complete: requirements/dev.txt pyproject.toml
	@$(PYTHON) -m server.doctor --before-install
	@bash requirements/install $(PYTHON) $(DEV_ENV) requirements/dev.txt

.PHONY: serve
serve: $(SERVE_ENV)/.complete ## Serve the demo release, and answer one bundled photo.
	@exec $(SERVE_ENV)/bin/loupe serve

.PHONY: dev
dev: $(DEV_ENV)/.complete ## Make the environment for training, building and testing.

.PHONY: test
test: lint ## Lint, types, import contracts and all tests.
	$(BIN)/python -m pytest tests/unit --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=
	$(BIN)/python -m pytest --ignore tests/unit --cov --cov-append --cov-report=term --cov-fail-under=95

.PHONY: soak
soak: $(DEV_ENV)/.complete ## The long suites: statistical promises and faults. They print their tables.
	$(BIN)/python -m pytest -m soak -s

.PHONY: bench
bench: $(DEV_ENV)/.complete ## Measure each tier against bare Triton, and the cascade against its strongest tier.
	$(BIN)/python -m loadtests.bench

.PHONY: load
load: $(DEV_ENV)/.complete ## Send the demo mix at a steady rate, and judge it by loadtests/slo.toml.
	$(BIN)/python -m loadtests.load

.PHONY: lint
lint: $(DEV_ENV)/.complete build/googleapis ## Ruff, mypy, import contracts, buf, and stubs in step with the protos.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/buf lint protos
	bash protos/generate --check

.PHONY: protos
protos: $(DEV_ENV)/.complete build/googleapis ## Generate the stubs from the protos.
	bash protos/generate


.PHONY: lock
lock: ## Pin the requirements anew.
	bash requirements/lock

build/googleapis: $(DEV_ENV)/.complete
	@rm -rf $@ && mkdir -p $@/google
	@packages=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	  && cp -r $$packages/google/{api,rpc,type} $@/google/ && find $@ -type f ! -name '*.proto' -delete && touch $@
