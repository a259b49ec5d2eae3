# The two main commands are `make ablations` and `make test`. Needs Python 3.11 or newer, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: ablations test lint format clean report pictures profile-gpu profile-cpu

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

# Measure one GPU, about ten minutes (an estimate); writes a directory of records to commit.
# GPU="RTX 2080 Ti" refuses any other GPU.
MACHINES := results/machines/{device}
GPU_ROWS := --frame-size 360x640 --video-length 36 --processes 4 --max-seconds 4 --device $(or $(DEVICE),cuda:0)
profile-gpu: $(READY)
	$(BIN)/python run_ablations.py doctor --device $(or $(DEVICE),cuda:0) --self-test --seconds 20 --results '$(MACHINES)'
	$(BIN)/python run_ablations.py profile --window 5 20 36 $(GPU_ROWS) $(if $(GPU),--expect-gpu "$(GPU)") --results '$(MACHINES)'
	$(BIN)/python run_ablations.py profile --communication full ifc --window 20 36 --attention efficient $(GPU_ROWS) --results '$(MACHINES)'
	$(BIN)/python run_ablations.py fit --check --window 5 20 --device $(or $(DEVICE),cuda:0) --results '$(MACHINES)' --forecast '$(MACHINES)'

# Measure the CPU, at a smaller size: about half an hour on two cores.
CPU_ROWS := --frame-size 96x160 --video-length 20 --max-seconds 3 --device cpu
profile-cpu: $(READY)
	$(BIN)/python run_ablations.py doctor --device cpu --self-test --seconds 20 --results '$(MACHINES)'
	$(BIN)/python run_ablations.py profile --window 5 10 15 20 $(CPU_ROWS) --results '$(MACHINES)'
	$(BIN)/python run_ablations.py fit --check --window 5 10 15 20 --device cpu --results '$(MACHINES)' --forecast '$(MACHINES)'

# torch and torchvision are installed together, so that pip picks compatible versions.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0] + "; set PYTHON=python3.X")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) runs
