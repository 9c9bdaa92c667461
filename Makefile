# make run    open the console; without a terminal, train the demo and show its test figures
# make test   the style, the types, the layers and the tests
# make quick  the same without what trains or waits for other programs: about two minutes
# make bench  speed beside its targets, and beside the script that people write: twelve minutes
# make soak   a run that is killed 500 times, a disk that fails at each change, a queue of six, searches and
#             predictions that are killed, an hour in tmux, and how often equal models are told apart
# make fuzz   mutated files through every door, minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run quick test bench soak fuzz check install clean

run: install
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/cxr-tui; else $(BIN)/cxr-tui --batch demo; fi

quick: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not slow"

test: check
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# On an idle machine; docs/performance.md has a run's table. CXR_NIH_DIR names real images.
bench: install
	$(BIN)/python tests/bench/ratios.py

# Three to four hours.
soak: install
	$(BIN)/python tests/faults/kill_loop.py --kills 500
	$(BIN)/python tests/faults/disk_faults.py
	$(BIN)/python tests/faults/queue_faults.py --entries 6
	$(BIN)/python tests/faults/search_faults.py --trials 20 --kills 3 --epochs 3
	$(BIN)/python tests/faults/search_faults.py --trials 20 --kills 1 --epochs 3 --workers 4
	$(BIN)/python tests/faults/predict_faults.py --images 10000 --kills 3
	$(BIN)/python tests/faults/soak.py --minutes 60
	$(BIN)/python tests/bench/compare_coverage.py --samples 2000
	$(BIN)/python tests/bench/calibration_coverage.py --samples 2000
	$(BIN)/python tests/bench/subgroup_coverage.py --samples 1000
	$(BIN)/python tests/bench/because_coverage.py --samples 1000

# Thousands of mutated files; a share of them is in make test.
fuzz: install
	$(BIN)/python tests/faults/fuzz.py --examples 6000

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/.installed

# The constraints pin what we develop with; the package itself asks for ranges. torch comes
# first and alone, so that no other package can pull in a second build of it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,dicom,onnx,search,trackers]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
