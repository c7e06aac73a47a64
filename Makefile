# Everything a developer runs. Settings live in pyproject.toml.
.DEFAULT_GOAL := help
.PHONY: help setup gen
BIN := .venv/bin
PYTHON ?= python3

help: ## print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.stamp ## create .venv with the project, its demonstration and all tools

.venv/.stamp: pyproject.toml
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv; }
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[demo]' --group dev
	@touch $@

gen: setup ## generate gen/ from protos/
	$(BIN)/python protos/generate.py
