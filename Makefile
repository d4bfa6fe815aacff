# Everything a person types. `make help` lists it.
SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CORES ?=
CONFIG ?=
ARGS ?=
INSTALLED := $(VENV)/.installed
OVERLAY := $(foreach file,$(CONFIG),--configfile $(file)) $(ARGS)

include makefiles/searches.mk
include makefiles/commands.mk
include makefiles/docker.mk

.DEFAULT_GOAL := help
.PHONY: help install run report dry-run mlflow-ui test test-unit lint schemas format screenshots generate clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## /{printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make the virtual environment with the pinned packages

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one with PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt "torch==2.13.0"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,slurm]"
	touch $@

run: $(INSTALLED)  ## Run the study (CONFIG="presets/x.yaml mine.yaml" CORES=n) and write its HTML report
	$(BIN)/evidence-hpo run $(if $(CORES),--cores $(CORES)) $(OVERLAY)
	$(BIN)/evidence-hpo report $(OVERLAY)

dry-run: $(INSTALLED)  ## Show what would run
	$(BIN)/snakemake --dry-run --quiet rules $(if $(CONFIG),--configfile $(CONFIG))

report: $(INSTALLED)  ## Write results/report.html from the results that are there
	$(BIN)/evidence-hpo report $(OVERLAY)

mlflow-ui: $(INSTALLED)  ## Show the study in MLflow on http://127.0.0.1:5000 (PORT=n)
	$(BIN)/evidence-hpo track --ui --port $(or $(PORT),5000)

test: $(INSTALLED)  ## Run all tests: those of single modules two at a time, then whole studies, which use both cores themselves
	$(BIN)/pytest tests/unit --numprocesses 2
	$(BIN)/pytest tests/workflow tests/cluster

test-unit: $(INSTALLED)  ## Run the fast tests only
	$(BIN)/pytest tests/unit --numprocesses 2

lint: $(INSTALLED)  ## Check style, types, the workflow and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

schemas: $(INSTALLED)  ## Check the JSON schemas, and the configuration files against theirs
	$(BIN)/pytest tests/unit/test_schemas.py

format: $(INSTALLED)  ## Format Python and Snakemake files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile rules

screenshots: $(INSTALLED)  ## Take the pictures of docs/images from the finished study in results/ (needs Chromium)
	$(BIN)/evidence-hpo report $(OVERLAY)
	$(BIN)/python docs/images/take.py results docs/images overview timeline

generate: $(INSTALLED)  ## Regenerate the default configuration, its schema and the reference pages
	$(BIN)/python -m evidence_hpo.config.generate
	$(BIN)/python -m evidence_hpo.cli.reference

clean:  ## Remove results and Snakemake's state, keep the virtual environment
	rm -rf results .snakemake
