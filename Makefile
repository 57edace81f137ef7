# Each target makes its own environment from a bare checkout; a second call is instant.
#   make demo    a synthetic heart, measured: open demo/report.html
#   make test    all tests        make quick   those of a few seconds        make check   format, lint, types, tests
#   make docs    the site: open site/index.html                              make wheel-test   the package, alone

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# two processes, each with whole test files, so that their fixtures are made once
TOGETHER := -n 2 --dist loadfile
# compiled files are kept, also where the shell says otherwise: every process of the tests would compile them again
export PYTHONDONTWRITEBYTECODE :=
# each of one thread: threads of two processes on two cores wait for each other longer than they compute
test quick check: export OMP_NUM_THREADS := 1

.PHONY: demo test quick check docs wheel-test environment

environment: $(READY)

# torch first and pinned: where the package index serves a CPU build under this version, it is taken. On Linux x86 the
# plain pin may bring a CUDA build of some gigabytes; it works as well. To avoid it, point pip at PyTorch's CPU wheels
# (their install page says how) before the first `make`.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# exit code 4 is "done with flags": a demo may have those
demo: $(READY)
	$(BIN)/cinecmr analyze phantom --out demo || [ $$? -eq 4 ]
	@echo "Open demo/report.html in a browser."

test: $(READY)
	$(BIN)/python -m pytest -q $(TOGETHER)

quick: $(READY)
	$(BIN)/python -m pytest -q -m "not slow" $(TOGETHER)

check: $(READY)
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff check src tests
	$(BIN)/mypy
	$(BIN)/python -m pytest -q $(TOGETHER)

docs: $(READY)
	$(BIN)/python docs/_site/commands.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html in a browser."

# wheel and sdist, each into an environment of its own that knows no checkout, then measured without a network: minutes,
# and a gigabyte of packages
wheel-test: $(READY)
	$(BIN)/python -m pip install --quiet build hatchling
	$(BIN)/python tests/release.py --clean
