# Everything a person runs. Each target brings what it needs: uv from PyPI if it is absent, Debian packages through apt when run
# as root, Go modules at pinned versions; which target needs which is one table, tests/cluster/harness/programs.py. What is built
# stays in $(FORESHORE_CACHE), outside the tree.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Containers that set this make every start of a Python process, thousands in the tests, compile what it imports: a second each.
unexport PYTHONDONTWRITEBYTECODE
export FORESHORE_CACHE ?= $(HOME)/.cache/foreshore
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo $(FORESHORE_CACHE)/uv/bin/uv)
RUN := $(UV) run --locked --quiet
PYTEST := $(RUN) pytest
ON_EVERY_CORE := -n auto --maxprocesses 8 --dist worksteal
SIDE_BY_SIDE := -n $(shell echo $$(($$(nproc) * 2))) --maxprocesses 8 --dist worksteal # they mostly wait
EXAMPLE := examples/01-ventilate-a-room
SPEED ?= 0
NAME ?= foreshore
FILES ?=
N ?= 50
ARGS ?=
HARNESS := $(RUN) python tests/cluster/harness
APT := test "$$(id -u)" = 0 && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

##@ See it

demo: sync tools-demo ## A cluster with real nodes, the example on it, nodes that die, a site that is cut off
	@$(RUN) python tests/demo

demo-local: sync tools-demo-local ## Rehearse the same example in under a minute, without a cluster
	@state=$$(mktemp -d); trap 'rm -rf $$state' EXIT; \
	$(RUN) foreshore-agent rehearse --resources $(EXAMPLE) --state $$state --device room-301 \
	  --csv $(EXAMPLE)/occupancy.csv --time-column Date --map Light=light --map CO2=co2 --map Temperature=temperature \
	  --truth Occupancy --speed $(SPEED); \
	echo; $(RUN) foreshore-agent why --last --state $$state

demo-devices: sync tools-demo-devices ## Stock devices decided for in under two minutes, without a cluster
	@$(RUN) python tests/demo/devices.py

zoo: sync tools-zoo ## What model inspect says of the files that exporters write; FILES=FOLDER keeps them
	@folder="$(FILES)"; test -n "$$folder" || { folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; }; \
	$(RUN) python tests/builders/zoo --models "$$folder"; \
	$(RUN) foreshore-agent model inspect "$$folder"/*.onnx || test $$? = 1  # some are refused, with their remedy

##@ Check it

test: sync tools-test ## Unit, contract, component and cluster tests (real API server, no nodes)
	$(PYTEST) $(ON_EVERY_CORE) tests/unit tests/contract
	$(PYTEST) $(SIDE_BY_SIDE) tests/component tests/cluster -m "not e2e"

test-unit: sync tools-test-unit ## Unit and contract tests only
	$(PYTEST) $(ON_EVERY_CORE) tests/unit tests/contract

test-component: sync tools-test-component ## Component tests only; ARGS=--one-per-module: those that start every fixture
	$(PYTEST) $(SIDE_BY_SIDE) tests/component $(ARGS)

fresh-check: sync tools-fresh-check ## make test and make demo on a bare Debian of its own; QUICK=1: unit, contract, a sample of component tests
	@$(HARNESS) fresh-check $(if $(filter-out 0,$(QUICK)),--quick)

e2e: sync tools-e2e ## Tests on real nodes, with real faults
	@$(HARNESS) node-image
	$(PYTEST) tests/cluster tests/e2e -m e2e

bench: sync tools-bench ## Figures beside a C echo, a script and Node-RED in one run; ARGS="--only pairs --write README.md"
	@$(if $(findstring --only,$(ARGS)),,$(if $(findstring --skip-cluster,$(ARGS)),,$(HARNESS) node-image))
	@$(RUN) python tests/bench $(ARGS)

scale: sync tools-scale ## N nodes and ten devices a node, played, on a real control plane: what operator and hub take; N=50
	@$(RUN) python tests/scale --nodes $(N) $(ARGS)

nightly: sync tools-bench ## What is too long for every change: fold, properties, tight fleets, changed models, bench; ARGS="--only fold,tight"
	@$(RUN) python tests/nightly $(ARGS)

verify: sync ## Style, types, seams, generated files, charts
	$(UV) lock --check --quiet
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) lint-imports --no-cache
	$(RUN) python -m foreshore_api.schema
	$(RUN) python tests/contract/clean_tree.py crds charts
	$(HARNESS) charts

##@ Work on it

sync: $(UV) ## Install the workspace as uv.lock says
	@$(UV) sync --locked --quiet

generate: sync tools-generate ## Write CRDs, schemas, field reference and chart copies from the types, and the table of exports
	$(RUN) python -m foreshore_api.schema
	$(RUN) python tests/builders/zoo

format: sync ## Format and mend what the linter can
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

cluster: sync ## A cluster with real nodes: three edge nodes of site hq, one cloud node
	@$(HARNESS) up --name $(NAME)

cluster-down: sync ## Take that cluster away
	@$(HARNESS) down --name $(NAME)

images: sync ## The two images, from the repository's Dockerfiles
	@$(HARNESS) images

help: ## List the targets
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*##/ {printf "  \033[1m%-15s\033[0m%s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools: tools-test

tools-%: sync
	@$(HARNESS) tools $*

$(FORESHORE_CACHE)/uv/bin/uv:
	@echo "uv is absent: installing it from PyPI into $(FORESHORE_CACHE)/uv"
	@python3 -c 'import ensurepip' 2>/dev/null || { $(APT) python3-venv >/dev/null; } || true
	@python3 -m venv --clear $(FORESHORE_CACHE)/uv || { echo "python3 with the venv module is needed: on Debian, apt install python3-venv" >&2; exit 1; }
	@$(FORESHORE_CACHE)/uv/bin/pip install --quiet uv==$(UV_VERSION)

.PHONY: demo demo-local demo-devices zoo test test-unit test-component fresh-check e2e bench scale nightly verify sync generate format cluster cluster-down images help tools
