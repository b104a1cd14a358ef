# `make demo` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON ?= python3
# The parity tests' torch, by pip: its settings say which build, CPU or CUDA.
TORCH ?= torch==2.13.0
BIN := .venv/bin
DEMO := runs/demo
TABLES := runs/tables
FOR_TESTS := .[all,test]

.PHONY: demo ablations models tables-world test only-tests lint slow docs clean

# A module is compiled when it is first imported: most of what is installed never is. What was
# compiled is kept, whatever the environment says: otherwise every process compiles all that it
# imports, which takes three to five times as long.
export PYTHONDONTWRITEBYTECODE :=

# pip or uv says why it stops; this, what to do.
if_not_installed = || { echo "error: not installed, for the reason above; this takes the network and\
 5 GB of disk, and the same command again tries again" >&2; exit 2; }

# uv takes a third of pip's time. It does not read pip's settings: where these name another index, and
# uv finds nothing, pip does it.
install = $(BIN)/pip install --quiet uv && { $(BIN)/uv pip install --quiet --python=$(BIN)/python $(1)\
 || { echo "uv could not, for the reason above: installing with pip" >&2;\
 $(BIN)/pip install --quiet --no-compile $(1); }; } $(if_not_installed)

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "error: Python 3.11 or\
 newer is needed, and $(PYTHON) is %d.%d: say which, as in make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv

.venv/run.stamp: setup.py pyproject.toml | .venv/pyvenv.cfg
	@$(call install,--editable '.[data]')
	@touch $@

.venv/test.stamp: setup.py pyproject.toml | .venv/pyvenv.cfg
	@$(BIN)/pip install --quiet --no-compile $(TORCH) $(if_not_installed)
	@$(call install,--editable '$(FOR_TESTS)')
	@touch .venv/run.stamp $@

# Renders a world, pretrains a small CLIP on pictures of it, trains on its videos, tests, and looks at
# an animal that it was never shown. Interrupted, it goes on where it was.
demo: .venv/run.stamp
	$(call world,$(DEMO),--stills=8000)
	$(BIN)/animal-clip pretrain --data=$(DEMO)/videos/pairs --output=$(DEMO)/clip --architecture=tiny \
	  --steps=200 --learning_rate=2e-3 --labels=$(DEMO)/videos/descriptions/animals.csv --overwrite
	$(BIN)/python main.py --config=configs/demo.py --workdir=$(DEMO)/run \
	  --config.init_from=$(DEMO)/clip
	$(BIN)/python docs/picture.py --run=$(DEMO)/run --videos=$(DEMO)/videos/videos \
	  --output=$(DEMO)/picture.png
	@echo "What the model sees in a video of an animal that it was never shown, a zebra standing up:"
	$(BIN)/python main.py --workdir=$(DEMO)/run --mode=predict \
	  --config.predict.video=$(DEMO)/videos/videos/StandingUp/Zebra_test_unseen_animals_000.mp4
	$(BIN)/python -m benchmarks.tour --run=$(DEMO)/run --new_action=$(DEMO)/new_action \
	  --new_texts=$(DEMO)/videos/unseen_action/descriptions

# What parts of the method are worth in that world: dozens of trainings, up to an hour. Writes the
# tables of docs/results.md.
ablations: tables-world
	$(BIN)/python -m benchmarks.ablations $(FOR_TABLES) --output=$(TABLES)/ablations

# The same for the models that Animal-CLIP was published beside.
models: tables-world
	$(BIN)/python -m benchmarks.models $(FOR_TABLES) --output=$(TABLES)/models

FOR_TABLES := --world=$(TABLES)/data --new_action=$(TABLES)/new_action --weights=$(TABLES)/clip \
  --new_texts=$(TABLES)/videos/unseen_action/descriptions --page=docs/results.md

# A CLIP that saw more pictures of the world, for longer, than the demo's.
tables-world: .venv/run.stamp
	$(call world,$(TABLES),)
	$(BIN)/animal-clip pretrain --data=$(TABLES)/videos/pairs --output=$(TABLES)/clip \
	  --architecture=tiny --steps=700 --learning_rate=1e-3 --overwrite \
	  --labels=$(TABLES)/videos/descriptions/animals.csv

# Renders the world into the folder $(1), with the options $(2), and converts its videos.
define world
$(BIN)/python -m data_pipeline.synthetic --output=$(1)/videos $(2)
$(BIN)/animal-clip convert-videos --dataset=csv --source=$(1)/videos --output=$(1)/data \
  --short_side=36
$(BIN)/animal-clip convert-videos --dataset=csv --source=$(1)/videos/unseen_action \
  --output=$(1)/new_action --short_side=36
endef

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A process for each core. A file's tests share what they make, so a file stays with one process;
# files come in the order of tests/conftest.py, the longest first.
PYTEST := $(BIN)/pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

# The linters beside the tests, which leave a core idle now and then.
test: .venv/test.stamp
	@$(MAKE) --no-print-directory --jobs=2 lint only-tests

only-tests: .venv/test.stamp
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
