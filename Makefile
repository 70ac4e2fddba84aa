# Everything here runs on a fresh machine with nothing but Python and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all check bench clean

$(VENV)/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/bench: $(VENV)/demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: $(VENV)/demo  ## train a causal and a masked model on real English, and compare them
	$(BIN)/lmcompare train experiments/first/study.toml
	$(BIN)/lmcompare eval experiments/first
	$(BIN)/lmcompare compare experiments/first

# a worker for each core, each with one thread: threads of several would wait for one another
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

test: $(VENV)/dev  ## the fast tests
	$(PYTEST)

test-all: $(VENV)/dev $(VENV)/bench  ## the slow ones too
	$(PYTEST) -m ''

check: $(VENV)/dev  ## format, lint, types, layers, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: $(VENV)/bench  ## speed of training, writing and scoring beside what others use
	$(BIN)/python benchmarks/train_speed.py
	$(BIN)/python benchmarks/decode_speed.py
	$(BIN)/python benchmarks/scoring_speed.py

clean:
	rm -rf $(VENV) build dist
