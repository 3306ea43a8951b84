# Every target creates .venv and installs what it needs; a second call is instant.
# PYTHON=python3.12 make test    chooses another interpreter (3.11 or later).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
OUT ?= out/benchmark

export OMP_NUM_THREADS := 1

.PHONY: benchmark test lint bench clean
.DEFAULT_GOAL := benchmark

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lyceum needs Python 3.11 or later; name one with PYTHON=python3.12 make ...")'
	$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: on Debian or Ubuntu, apt-get install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	    --editable '.[test,lint]'
	touch $(STAMP)

benchmark: $(STAMP)
	$(BIN)/lyceum run digits-noise-v1 --teacher uniform --teacher easy_first \
	    --teacher easy_first_capped --teacher self_paced --teacher self_paced_capped \
	    --seeds 10 --workers $(WORKERS) --runs $(OUT) --local
	$(BIN)/lyceum run stump_tracks-quick-v1 --teacher uniform --teacher alp_gmm \
	    --seeds 3 --workers $(WORKERS) --runs $(OUT) --local
	$(BIN)/lyceum plot digits-noise-v1 --runs $(OUT) --local
	$(BIN)/lyceum plot stump_tracks-quick-v1 --runs $(OUT) --local

test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(STAMP)
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .

bench: $(STAMP)
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench_teachers --out out/bench_teachers.json
	$(BIN)/python -m tests.bench_sweep

clean:
	rm -rf $(VENV) out runs
