# Two commands do everything on a fresh machine: `make demo` and `make test`. All targets are safe to repeat.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
DEMO := demo

.PHONY: setup demo test lint types imports docs unit slow clean

setup: .venv/installed

# Made again only when what is to be installed changes.
.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "synsight needs Python 3.11 or newer; none was found (set PYTHON=/path/to/python)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: setup
	$(BIN)/synsight pilot emoji --label category --text-columns caption,keywords --image-size 48 --epochs 9 --out $(DEMO) --yes

test: setup lint types imports docs unit

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

docs:
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# A file's tests stay in one process, since they share what they trained; one thread each, since all cores are busy.
unit:
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 6 --dist loadfile --no-loadscope-reorder

# Torture runs and long experiments: hours, not minutes.
slow: setup
	$(BIN)/pytest -m slow --timeout 7200

clean:
	rm -rf .venv site dist $(DEMO)
