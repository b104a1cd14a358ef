# `make demo` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
# The parity tests' torch. Name it alone, and pip keeps the build that it finds, CPU or CUDA.
TORCH ?= torch==2.13.0
BIN := .venv/bin
DEMO := runs/demo

.PHONY: demo test lint slow clean

.venv/run.stamp: setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/test.stamp: .venv/run.stamp
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable '.[test,torch]'
	touch $@

# Renders videos, converts, trains, evaluates, and recognises one held-out video. Interrupted, it
# goes on where it was.
demo: .venv/run.stamp
	$(BIN)/python -m data_pipeline.synthetic --output=$(DEMO)/videos
	$(BIN)/python -m data_pipeline.convert --dataset=lote_animal --source=$(DEMO)/videos \
	  --output=$(DEMO)/data --short_side=36
	$(BIN)/python main.py --config=configs/demo.py --workdir=$(DEMO)/run
	@echo "What the model sees in a video of an animal that it was never shown, a zebra standing up:"
	$(BIN)/python main.py --config=configs/demo.py --workdir=$(DEMO)/run --mode=predict \
	  --config.predict.video=$(DEMO)/videos/videos/StandingUp/Zebra5001.mp4

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file's tests share what they make, so a file stays with one process.
test: lint
	$(BIN)/pytest --numprocesses=auto --dist=loadfile

slow: .venv/test.stamp
	$(BIN)/pytest -m slow

clean:
	rm -rf .venv runs *.egg-info .pytest_cache .mypy_cache .ruff_cache
