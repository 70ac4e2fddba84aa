# Everything here runs on a fresh machine with nothing but Python and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all check bench gpu-wheels gpu gpu-tests gpu-bench gpu-study gpu-table gpu-toy clean

$(VENV)/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[report]'
	touch $@

$(VENV)/dev: $(VENV)/demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/bench: $(VENV)/demo
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: $(VENV)/demo  ## train a causal and a masked model on real English, ask both, compare and report
	$(BIN)/lmcompare study textbook

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

# A machine with a GPU may have PyTorch and no way to fetch anything: what else is needed is fetched
# before, goes there in a folder, and is used with the Python that is there: make gpu PYTHON=python3
WHEELS ?= .wheels
SITE ?= build/site
GPU_PACKAGES ?= annotated-types beartype execnet jaxtyping platformdirs pydantic pydantic-core \
	pytest-xdist tabulate tomli-w typing-inspection wadler-lindig
GPU_PYTHON := PYTHONPATH=$(SITE):.:cli $(PYTHON)

gpu-wheels:  ## fetch what a machine with a GPU and PyTorch lacks
	$(PYTHON) -m pip download --quiet --only-binary=:all: --no-deps --dest $(WHEELS) \
		--python-version 3.12 --implementation cp --platform manylinux_2_28_x86_64 \
		--platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --constraint constraints.txt \
		$(GPU_PACKAGES)

$(SITE)/ready: $(wildcard $(WHEELS)/*.whl)
	rm -rf $(SITE) && mkdir -p $(SITE)
	@if ls $(WHEELS)/*.whl >/dev/null 2>&1; then \
		$(PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --target $(SITE) \
			$(WHEELS)/*.whl 2>/dev/null || true; fi
	touch $@

gpu: $(SITE)/ready  ## all that only a GPU can show; without one, what is skipped, and all of it in small
	@$(GPU_PYTHON) benchmarks/gpu_ready.py; case $$? in \
		0) parts="tests bench study table" ;; 1) parts="toy" ;; *) parts="" ;; esac; \
	for part in $$parts; do $(MAKE) --no-print-directory gpu-$$part; done; true

gpu-tests: $(SITE)/ready
	timeout 150 $(GPU_PYTHON) -m pytest -q -m gpu -n 8 -W default tests/gpu

gpu-bench: $(SITE)/ready
	$(GPU_PYTHON) benchmarks/gpu.py --seconds 280

gpu-study: $(SITE)/ready
	$(GPU_PYTHON) benchmarks/gpu_study.py --seconds 150

gpu-table: $(SITE)/ready
	@$(GPU_PYTHON) benchmarks/gpu_table.py

# What the others do, on a processor and in a size of which no figure means anything
gpu-toy: override export OUT := build/gpu-toy
gpu-toy: export OMP_NUM_THREADS = 1
gpu-toy: $(SITE)/ready
	rm -rf build/gpu-toy && mkdir -p build/gpu-toy
	-$(GPU_PYTHON) -m pytest -q -W default tests/gpu
	-$(GPU_PYTHON) benchmarks/gpu.py --toy >build/gpu-toy/speed.txt
	-$(GPU_PYTHON) benchmarks/gpu_study.py --toy >build/gpu-toy/study.txt 2>&1
	@$(GPU_PYTHON) benchmarks/gpu_table.py

clean:
	rm -rf $(VENV) build dist
