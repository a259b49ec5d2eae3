# The two main commands are `make ablations` and `make test`. Needs Python 3.11 or newer, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: ablations test test-gpu lint format clean report pictures profile-gpu profile-cpu

ablations: $(READY)
	$(BIN)/python run_ablations.py

test: $(READY)
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The committed report of the committed records; `make test` checks that it is current.
BASELINE := results/baseline
report: $(READY)
	$(BIN)/python run_ablations.py report table1 table2d table3a table3c table3d decoder --preset full --results $(BASELINE) --out $(BASELINE)/report

# The committed strips, from committed tracks of seed 0 (windows of 5 and of 20) on generated scenes.
PICTURES := $(BASELINE)/pictures
TRACKS := $(BASELINE)/pictures/tracks
SCENES := runs/scenes
STRIP := $(BIN)/python run_ablations.py visualize --data $(SCENES)/valid --out $(PICTURES)
pictures: $(SCENES)
	$(STRIP) --video 6 --frame 9 14 18 23 --threshold 0.6 --label "No Comm" "Decomp T-HW" IFC \
		--predictions $(TRACKS)/T5/none.json $(TRACKS)/T5/decomposed.json $(TRACKS)/T5/ifc.json
	$(STRIP) --video 4 --columns 4 --label "No Comm" "Full THW" IFC \
		--predictions $(TRACKS)/T20/none.json $(TRACKS)/T20/full.json $(TRACKS)/T20/ifc.json

$(SCENES): | $(READY)
	$(BIN)/python run_ablations.py data synthesize $(SCENES) --train 1

# Measure one GPU, about ten minutes on an H100 (an estimate); writes a directory of records to commit.
# GPU="RTX 2080 Ti" refuses any other GPU. Nothing is installed where $(PYTHON) has all packages.
MACHINES := results/machines/{device}
ON_GPU := --device $(or $(DEVICE),cuda:0) --results '$(MACHINES)'
GPU_ROWS := --frame-size 360x640 --video-length 36 --processes 3 --max-seconds 2 $(ON_GPU)
NEEDED := import torch, torchvision, pydantic, cyclopts, rich, pycocotools, filelock, pandas, scipy, matplotlib, tabulate, jinja2, msgspec, psutil
HAS_ALL = $(PYTHON) -c '$(NEEDED)' 2> /dev/null
FIND = python="$$($(HAS_ALL) && echo $(PYTHON) || echo $(BIN)/python)"; set -e -x
profile-gpu:
	@$(HAS_ALL) || $(MAKE) $(READY)
	@$(FIND); run="$$python run_ablations.py"; date; \
	$$run doctor --self-test --seconds 20 $(ON_GPU); \
	$$run profile --window 5 20 $(GPU_ROWS) $(if $(GPU),--expect-gpu "$(GPU)"); \
	$$run profile --communication full ifc --window 20 --attention efficient $(GPU_ROWS); \
	$$run profile --communication ifc --window 20 --attention efficient --precision fp16 $(GPU_ROWS); \
	$$run fit --check --window 20 $(ON_GPU) --forecast '$(MACHINES)'; \
	$$run doctor --device $(or $(DEVICE),cuda:0) --check '$(MACHINES)'; date

# The tests that need a GPU; their outcomes are written beside its profiles.
test-gpu:
	@$(HAS_ALL) || $(MAKE) $(READY)
	@$(FIND); $$python -m pytest tests/gpu --record-gpu '$(MACHINES)/gpu_tests.json'

# Measure the CPU, at a smaller size: about an hour on two cores.
CPU_ROWS := --frame-size 96x160 --video-length 20 --max-seconds 3 --device cpu
profile-cpu: $(READY)
	$(BIN)/python run_ablations.py doctor --device cpu --self-test --seconds 20 --results '$(MACHINES)'
	$(BIN)/python run_ablations.py profile --window 5 10 15 20 $(CPU_ROWS) --results '$(MACHINES)'
	$(BIN)/python run_ablations.py fit --check --window 5 10 15 20 --device cpu --results '$(MACHINES)' --forecast '$(MACHINES)'
	$(BIN)/python run_ablations.py doctor --device cpu --check '$(MACHINES)'

# torch and torchvision are installed together, so that pip picks compatible versions.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; set PYTHON=python3.X")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) runs
