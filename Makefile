# What a developer runs. The settings of all tools are in pyproject.toml.
.DEFAULT_GOAL := help
.PHONY: help setup run test check lint types gen bench
PYTHON ?= python3
BIN := .venv/bin

help: ## print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

run: setup ## set up and start a server with a demonstration worker
	$(BIN)/longshore serve --demo --store sqlite:longshore.db

test: setup ## set up and run all tests
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: lint types test ## everything that must hold: lint, import rules, types, generated code, tests

lint: setup ## style, format and the doors between the rooms
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: setup ## the opinions of two type checkers
	$(BIN)/mypy
	$(BIN)/pyright

gen: setup ## generate gen/ from protos/, and the types of the sync client
	$(BIN)/python protos/generate.py
	$(BIN)/python -m tests.tools.sync_types

bench: setup ## measure, and print the table of ratios
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group bench
	$(BIN)/python -m tests.benchmarks

setup: .venv/.stamp ## create .venv with the project, its demonstration and all tools

.venv/.stamp: pyproject.toml
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv; }
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[demo,gateway,postgres]' --group dev
	@touch $@
