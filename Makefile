# `make demo` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
# The parity tests' torch. Name it alone, and pip keeps the build that it finds, CPU or CUDA.
TORCH ?= torch==2.13.0
BIN := .venv/bin
DEMO := runs/demo

.PHONY: demo demo-data ablations test lint slow clean

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
demo: demo-data
	$(BIN)/python main.py --config=configs/demo.py --workdir=$(DEMO)/run
	@echo "What the model sees in a video of an animal that it was never shown, a zebra standing up:"
	$(BIN)/python main.py --workdir=$(DEMO)/run --mode=predict \
	  --config.predict.video=$(DEMO)/videos/videos/StandingUp/Zebra5001.mp4

demo-data: .venv/run.stamp
	$(BIN)/python -m data_pipeline.synthetic --output=$(DEMO)/videos
	$(BIN)/python -m data_pipeline.convert --dataset=lote_animal --source=$(DEMO)/videos \
	  --output=$(DEMO)/data --short_side=36

# An image-text model that knows the animals by name, as BioCLIP knows real ones: fitted to other
# clips of the same generator, the zebra among them.
$(DEMO)/recogniser: | .venv/run.stamp
	$(BIN)/python -m data_pipeline.synthetic --output=$(DEMO)/pictures/videos --seed=1 \
	  --clips_per_pair=1 --test_clips_per_pair=8
	$(BIN)/python -m data_pipeline.convert --dataset=lote_animal --source=$(DEMO)/pictures/videos \
	  --output=$(DEMO)/pictures/data --short_side=36
	$(BIN)/python -m animal_clip_jax.finetune_recogniser --config=configs/demo.py \
	  --config.data.directory=$(DEMO)/pictures/data --config.data.train_split=test \
	  --steps=600 --learning_rate=1e-3 --overwrite --output=$@

# What parts of the method are worth on the demo: eight trainings.
ablations: demo-data $(DEMO)/recogniser
	$(BIN)/python -m benchmarks.ablations --data=$(DEMO)/data --recogniser=$(DEMO)/recogniser \
	  --output=$(DEMO)/ablations

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A file's tests share what they make, so a file stays with one process.
test: lint
	$(BIN)/pytest --numprocesses=auto --dist=loadfile

slow: .venv/test.stamp
	$(BIN)/pytest -m slow

clean:
	rm -rf .venv runs *.egg-info .pytest_cache .mypy_cache .ruff_cache
