# `make demo` and `make test` do all their set-up themselves; a second run reuses it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
MLSERVER ?= $(VENV)-mlserver
CLIENTS ?= $(VENV)-clients
# Debian's Prometheus, unpacked and not installed, for the tests of rules and dashboards.
PROMETHEUS ?= $(VENV)-prometheus
# MLServer asks for Python below 3.13, so the older ones are tried first.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python3.13; do \
	$$p -c 'import sys; sys.version_info < (3, 11) or print(sys.executable)' 2>/dev/null || true; done | head -n 1)
UV := $(shell command -v uv 2>/dev/null)
BIN := $(VENV)/bin
# What builds Bailie's wheel, apart from what runs it: xds-protos overwrites files of other packages.
BUILD := $(VENV)-build
# Packages whose every line and branch the tests beside them must reach, without the long random histories.
DECISIONS := control delivery placement lifecycle routing dataflow scaling
HISTORIES := $(wildcard $(addsuffix /test_*_properties.py,$(addprefix tests/,$(DECISIONS))))
# Files of tests go to the next free process, in the order of tests/conftest.py: the longest first. Most of the slow
# ones wait more than they compute, so there are more processes than processors, and processes of low priority for
# those that compute (tests/support/scheduling.py).
PARALLEL := --dist loadfile --no-loadscope-reorder
decisions = $(BIN)/python -m pytest -q $(PARALLEL) -n 2 $(addprefix tests/,$(DECISIONS)) \
	$(addprefix --ignore ,$(HISTORIES)) $(addprefix --cov=bailie.,$(DECISIONS)) --cov-fail-under=100 --cov-report=term-missing:skip-covered
pool = $(BIN)/python -m pytest $(PARALLEL) -n 6 tests $(addprefix --ignore tests/,$(DECISIONS)) $(HISTORIES)
# Hundreds of real processes share two processors: what failed among them gets one more try, by itself, and is named.
alone = echo "==> the tests that failed, once more and one at a time" >&2 && \
	$(BIN)/python -m pytest -q -x -n 0 --last-failed --last-failed-no-failures none tests && \
	echo "==> passed only when run alone: the tests named FAILED above" >&2
export BAILIE_MLSERVER_ENV ?= $(abspath $(MLSERVER))
# Images of Python often forbid files of bytecode. The tests start hundreds of processes, and each would compile
# all that it imports again.
unexport PYTHONDONTWRITEBYTECODE
# Helm, kubectl and promtool, which are in Go, live for moments in the tests: a fifth of their time is for garbage.
export GOGC ?= 400

# A lock names every package with its hashes, so nothing is resolved and nothing is built; `complete` fails where
# a lock lacks something that one of its packages needs.
ifdef UV
make_venv = uv venv --quiet --python $(PYTHON) $(1)
install = VIRTUAL_ENV="$(abspath $(1))" uv pip install --quiet --no-deps
complete = VIRTUAL_ENV="$(abspath $(1))" uv pip check --quiet
else
make_venv = $(PYTHON) -m venv $(1)
install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps
complete = $(1)/bin/python -m pip check --disable-pip-version-check >&2
endif
install_lock = $(call install,$(1)) --require-hashes --only-binary :all: -r requirements/$(2).txt

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: demo
demo: $(VENV)/.core $(MLSERVER)/.done ## Show the whole: two namespaces, failover, isolation (about a minute)
	@$(BIN)/bailie demo

.PHONY: test
test: $(VENV)/.dev $(MLSERVER)/.done ## Run every test, with full coverage of the decisions; ARGS='tests/placement -x' for a part
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(decisions)
	@rm -f .pytest_cache/v/cache/lastfailed
	@$(pool) || { test $$? -eq 1 && $(alone); }
endif

.PHONY: test-fast
test-fast: $(VENV)/.dev ## Run the tests that start neither Envoy nor MLServer and take no time (a minute)
	@$(BIN)/python -m pytest $(PARALLEL) -n 3 --hypothesis-profile=fast -m 'not slow' --ignore tests/e2e

.PHONY: test-clients
test-clients: $(VENV)/.dev $(MLSERVER)/.done $(CLIENTS)/.done ## Try other projects' clients (docs/inference.md has their table)
	@BAILIE_CLIENTS_ENV=$(abspath $(CLIENTS)) $(BIN)/python -m pytest tests/gateway/test_clients.py $(ARGS)

.PHONY: test-kubernetes
test-kubernetes: $(VENV)/.dev $(MLSERVER)/.done ## Try the API contract and the charts on the cluster of BAILIE_TEST_KUBECONFIG
	@test -n "$${BAILIE_TEST_KUBECONFIG:-}" || { echo "set BAILIE_TEST_KUBECONFIG to the kubeconfig of a cluster to test against" >&2; exit 2; }
	@$(BIN)/python -m pytest -m kubernetes $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## Format, lint, types and the direction of imports: seconds, for each commit
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: check
check: lint ## What lint does, and full coverage of the decisions
	@$(decisions)

.PHONY: bench
bench: $(VENV)/.dev $(MLSERVER)/.done ## Measure the data plane and the control plane (benchmarks/README.md)
	@$(BIN)/python -m benchmarks $(ARGS)

# Docker, podman or nerdctl; REGISTRY=registry.example.com/team/ names the images for it.
DOCKER ?= docker
REGISTRY ?=
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/bailie/__init__.py)

.PHONY: images
images: ## Build the images of the charts, bailie and bailie-mlserver, tagged with the version (needs Docker)
	@for image in bailie bailie-mlserver; do \
		echo "==> $(REGISTRY)$$image:$(VERSION)"; \
		$(DOCKER) build --target $$image --tag $(REGISTRY)$$image:$(VERSION) .; done

.PHONY: charts
charts: $(VENV)/.dev ## Write what of the charts and of docs/reference comes from the code
	@$(BIN)/python tools/charts.py
	@$(BIN)/python tools/reference.py

.PHONY: charts-repo
charts-repo: $(VENV)/.dev ## Pack the charts into dist/charts, a repository for any static server
	@$(BIN)/python tools/charts_repo.py

.PHONY: setup
setup: $(VENV)/.dev $(MLSERVER)/.done ## Make both environments and install everything

.PHONY: prometheus
prometheus: ## Get Prometheus for the tests that need it (Debian, Ubuntu), where none is installed
	@{ command -v prometheus && command -v promtool; } > /dev/null || $(MAKE) $(PROMETHEUS)/.done

.PHONY: runtimes
runtimes: $(MLSERVER)/.done ## Add MLServer's runtimes for XGBoost, LightGBM and MLflow (about 1 GB)
	@echo "==> adding runtimes to $(MLSERVER) (about 1 GB)"
	@$(call install_lock,$(MLSERVER),mlserver-all)
	@$(call complete,$(MLSERVER))

.PHONY: lock
lock: ## Pin the newest versions that fit requirements/*.in (needs uv)
	@for f in core dev build mlserver mlserver-all clients; do \
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-annotate --no-header requirements/$$f.in -o requirements/$$f.txt; done

.PHONY: clean
clean: ## Remove the environments and everything generated
	@rm -rf $(VENV) $(BUILD) $(MLSERVER) $(CLIENTS) $(PROMETHEUS) build dist src/bailie/_gen packages/kubeapi/src/kubeapi/_generated .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(call make_venv,$(VENV))

$(BUILD)/.done: requirements/build.txt | $(VENV)/bin/python
	@test -x $(BUILD)/bin/python || $(call make_venv,$(BUILD))
	@$(call install_lock,$(BUILD),build)
	@$(call complete,$(BUILD))
	@touch $@

$(VENV)/.core: requirements/core.txt pyproject.toml packages/kubeapi/pyproject.toml tools/protos.py tools/build_hook.py $(wildcard packages/kubeapi/tools/*.py) packages/kubeapi/src/kubeapi/kinds.py $(BUILD)/.done $(wildcard proto/bailie/_gen/*.proto) | $(VENV)/bin/python
	@echo "==> installing Bailie into $(VENV)"
	@$(call install_lock,$(VENV),core)
	@rm -rf $(BUILD)/wheel
	@said=$$($(BUILD)/bin/python -m hatchling build --target wheel:editable --directory $(BUILD)/wheel 2>&1) \
		|| { echo "$$said" >&2; exit 1; }
	@$(call install,$(VENV)) --force-reinstall $(BUILD)/wheel/*.whl
	@$(call complete,$(VENV))
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.core
	@echo "==> installing the test tools into $(VENV)"
	@$(call install_lock,$(VENV),dev)
	@$(call complete,$(VENV))
	@touch $@

$(MLSERVER)/.done: requirements/mlserver.txt
	@echo "==> making $(MLSERVER) with MLServer (about 400 MB, once)"
	@test -x $(MLSERVER)/bin/python || $(call make_venv,$(MLSERVER))
	@$(call install_lock,$(MLSERVER),mlserver)
	@$(call complete,$(MLSERVER))
	@touch $@

$(CLIENTS)/.done: requirements/clients.txt
	@echo "==> making $(CLIENTS) with other projects' clients (about 370 MB, once)"
	@test -x $(CLIENTS)/bin/python || $(call make_venv,$(CLIENTS))
	@$(call install_lock,$(CLIENTS),clients)
	@$(call complete,$(CLIENTS))
	@touch $@

# The package's own installation would start a service. Only root may refresh the lists of packages.
$(PROMETHEUS)/.done:
	@echo "==> unpacking Debian's prometheus into $(PROMETHEUS) (about 100 MB, once)"
	@mkdir -p $(PROMETHEUS)
	@cd $(PROMETHEUS) && { apt-get -qq download prometheus 2> /dev/null || { apt-get -qq update && apt-get -qq download prometheus; }; }
	@dpkg -x $(PROMETHEUS)/prometheus_*.deb $(PROMETHEUS) && rm $(PROMETHEUS)/prometheus_*.deb
	@touch $@
