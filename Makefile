# `make demo` and `make test` need Python 3.11 or 3.12, git, make and a package index; they make everything else themselves.
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu make demo     a CPU build of torch (or .../cu128 for CUDA)
#   SHAPER_HISTORY=DIR make demo                                   the same story on recorded history
#   PYTHON=python3.12 make test                                    another interpreter
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCHMARK_STAMP := $(VENV)/.installed-benchmark
TORCH := $(shell grep '^torch==' constraints.txt)

# xds-protos ships old copies of opentelemetry-proto's modules in its place; MLflow needs the new ones, Envoy takes either.
AFTER_XDS := $(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --force-reinstall -c constraints.txt opentelemetry-proto

# One thread in each process: OpenMP's threads spin while they wait, which starves the other processes.
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

.PHONY: demo test test-integration parts benchmark lint audit champions clean help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "expected $(PYTHON) on PATH; found none; install Python 3.11 or 3.12, or name another: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	$(AFTER_XDS)
	@touch $@

$(BENCHMARK_STAMP): $(STAMP)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[benchmark]'
	$(AFTER_XDS)
	@touch $@

demo: $(STAMP) ## the whole story offline, on a simulated world or on SHAPER_HISTORY
	$(BIN)/shaper demo

test: $(STAMP) ## the default tests, a process for each core
	$(SIDE_BY_SIDE)

test-integration: $(STAMP) ## the tests that start real parts
	$(BIN)/python -m pytest -m integration

parts: ## install the real parts of the integration tests (Debian and npm packages; asks for root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 xargs -a tests/integration/apt.txt apt-get install -qq -y --no-install-recommends >/dev/null
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends npm >/dev/null
	mkdir -p var/parts && xargs -a tests/integration/npm.txt npm install --silent --no-audit --no-fund --prefix var/parts

benchmark: $(BENCHMARK_STAMP) ## ratios against named alternatives, measured in one run
	$(BIN)/python -m pytest -m benchmark -s

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(STAMP) ## known vulnerabilities of what is pinned, where a service answers
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt 'pip-audit>=2.10,<3'
	$(BIN)/python .ci/audit

CHAMPIONS := fit/panel-linear fit/demand-tcn regress/block-har

champions: $(STAMP) ## train the bundled champions again, on a simulated world
	$(BIN)/shaper data simulate --out var/champions/world --days 60 --seed 11
	for champion in $(CHAMPIONS); do name=$${champion#*/}; \
	  $(BIN)/shaper train $${champion%/*} --config training/configs/$$name.yaml --data.history var/champions/world \
	    --data.split.until 2024-02-24 --data.split.calibration_days 10 --run.folder var/champions/runs --run.store var/champions/mlflow && \
	  $(BIN)/shaper export var/champions/runs/$$name --out serving/bundled/$${name%%-*} || exit 1; \
	done

clean: ## remove what the commands made, not the virtual environment
	rm -rf var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
