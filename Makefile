# `make demo` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
# The parity tests' torch. Name it alone, and pip keeps the build that it finds, CPU or CUDA.
TORCH ?= torch==2.13.0
BIN := .venv/bin
DEMO := runs/demo
FOR_TESTS := .[all,test]

.PHONY: demo demo-data ablations test lint slow docs clean

# pip says why it stops; this, what to do. A module is compiled when it is first imported: most of
# what is installed never is.
install = $(BIN)/pip install --quiet --no-compile $(1) || { echo "error: not installed, for the reason above;\
 this takes the network and 5 GB of disk, and the same command again tries again" >&2; exit 2; }

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "error: Python 3.11 or\
 newer is needed, and $(PYTHON) is %d.%d: say which, as in make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv

.venv/run.stamp: setup.py pyproject.toml | .venv/pyvenv.cfg
	@$(call install,--editable '.[data]')
	@touch $@

.venv/test.stamp: setup.py pyproject.toml | .venv/pyvenv.cfg
	@$(call install,$(TORCH) --editable '$(FOR_TESTS)')
	@touch .venv/run.stamp $@

# Renders videos, converts, trains, evaluates, and recognises one held-out video. Interrupted, it
# goes on where it was.
demo: demo-data
	$(BIN)/python main.py --config=configs/demo.py --workdir=$(DEMO)/run
	@echo "What the model sees in a video of an animal that it was never shown, a zebra standing up:"
	$(BIN)/python main.py --workdir=$(DEMO)/run --mode=predict \
	  --config.predict.video=$(DEMO)/videos/videos/StandingUp/Zebra5001.mp4

demo-data: .venv/run.stamp
	$(BIN)/python -m data_pipeline.synthetic --output=$(DEMO)/videos
	$(BIN)/animal-clip convert-videos --dataset=lote_animal --source=$(DEMO)/videos \
	  --output=$(DEMO)/data --short_side=36

# An image-text model that knows the animals by name, as BioCLIP knows real ones: fitted to other
# clips of the same generator, the zebra among them.
$(DEMO)/recogniser: | .venv/run.stamp
	$(BIN)/python -m data_pipeline.synthetic --output=$(DEMO)/pictures/videos --seed=1 \
	  --clips_per_pair=1 --test_clips_per_pair=8
	$(BIN)/animal-clip convert-videos --dataset=lote_animal --source=$(DEMO)/pictures/videos \
	  --output=$(DEMO)/pictures/data --short_side=36
	$(BIN)/animal-clip finetune-recogniser --config=configs/demo.py \
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

# A process for each core. A file's tests share what they make, so a file stays with one process;
# files come in the order of tests/conftest.py, the longest first.
PYTEST := $(BIN)/pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

test: lint
	$(PYTEST)

# What takes minutes: processes that are killed at random, jobs of several processes, memory over
# many epochs. CI runs it every night; run it when you change how a run is saved, resumed or shared.
slow: .venv/test.stamp
	$(PYTEST) -m slow

# The site of the pages in docs/, in site/. A link, an anchor or a page that leads nowhere is an error.
docs: .venv/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html"

.venv/docs.stamp: .venv/run.stamp
	@$(call install,--editable '.[docs]')
	@touch $@

clean:
	rm -rf .venv runs site *.egg-info .pytest_cache .mypy_cache .ruff_cache
