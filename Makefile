# make demo   sets up and plays every Crafter task five times with the shipped agent; make demo WORLD=minetest two of
#   Minetest's
# make test   sets up and runs every check: lint, types, tests
# make parity  compares the network with an older transformers as well; part of make test
# make lerobot   has the lerobot package read what we export, and us what it writes (about 100 MB, beside the packages)
# make trackers   tests --track with trackio and wandb (about 150 MB, beside the packages)
# make rerun   reads recordings back with rerun-sdk (500 MB, beside the packages)
# make minestudio   has the minestudio package read, write and play what we do, but for its game (about 310 MB, beside the
#   packages)
# make minetest   installs the Minetest engine with apt-get where it is missing; part of make test
# make processors   runs the tests of numbers as older processors would run them (TESTS=tests: all of them); one level of it
#   is part of make test
# make docs-check   runs the commands that the documentation shows
# make release-check   builds sdist and wheel, looks into them, plays from an empty environment; what a release still wants
# make docs   builds the site of the documentation into build/site
# make screenshots   draws the pictures of docs/playground.md (a few seconds; needs Chromium)
# make api   writes docs/api.md, what `import rig` gives, from the docstrings

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Which PyTorch is installed: cpu, cuda, or what fits the machine where it is empty.
export TORCH ?=
TORCH_BUILD = build=$$($(BIN)/python scripts/torch_build.py)

# Threads that spin while they wait make everything slower where cores are shared.
export OMP_WAIT_POLICY ?= PASSIVE

# The oldest transformers that our network is compared with; the newest is the one that pip installs.
OLD_TRANSFORMERS ?= 5.17.0

# The lerobot that our LeRobotDatasets are compared with.
LEROBOT ?= 0.4.4

# What runs are tracked with beside TensorBoard.
TRACKIO ?= 0.43.0
WANDB ?= 0.31.0

# Whose recordings `rig view --rerun` writes.
RERUN ?= 0.41.0

# The minestudio that our importers, teachers and world are compared with.
MINESTUDIO ?= 1.1.6

.PHONY: demo demo-crafter demo-minetest test parity lerobot minestudio trackers rerun processors lint types docs docs-check release-check api screenshots browser minetest clean

# The world of the demonstration: crafter or minetest.
WORLD ?= crafter

demo: demo-$(WORLD)

demo-crafter: $(VENV)/.demo
	$(BIN)/rig demo --episodes 5 --out runs/demo --overwrite --json-last

demo-minetest: $(VENV)/.demo minetest
	$(BIN)/rig demo --environment minetest --teacher minetest --out runs/demo-minetest --overwrite --json-last

test: lint types browser minetest
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
	sh scripts/processors.sh $(BIN)/python avx2
	$(MAKE) --no-print-directory parity

processors: $(VENV)/.dev
	sh scripts/processors.sh $(BIN)/python avx512_bf16 avx512 avx2 sse

parity: $(VENV)/.dev
	sh scripts/parity.sh $(BIN)/python $(OLD_TRANSFORMERS)

lerobot: $(VENV)/.dev
	sh scripts/lerobot.sh $(BIN)/python $(LEROBOT)

trackers: $(VENV)/.dev
	sh scripts/trackers.sh $(BIN)/python $(TRACKIO) $(WANDB)

rerun: $(VENV)/.dev
	sh scripts/rerun.sh $(BIN)/python $(RERUN)

minestudio: $(VENV)/.dev
	sh scripts/minestudio.sh $(BIN)/python $(MINESTUDIO)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

docs-check: $(VENV)/.dev
	$(BIN)/python scripts/docs_check.py

docs: $(VENV)/docs/.done
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --strict --quiet
	@echo "build/site/index.html; with its search: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

release-check: $(VENV)/bin/python
	$(BIN)/python scripts/release_check.py

api: $(VENV)/.dev
	$(BIN)/python scripts/api.py

screenshots: $(VENV)/.dev browser
	$(BIN)/python scripts/screenshots.py

browser:
	sh scripts/ensure_browser.sh

minetest:
	sh scripts/ensure_minetest.sh

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rig needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing rig and Crafter into $(VENV): a few minutes, once"
	$(TORCH_BUILD) && $(PIP_INSTALL) $$build --editable '.[crafter]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing rig and its development tools into $(VENV): a few minutes, once"
	$(TORCH_BUILD) && $(PIP_INSTALL) $$build --editable '.[dev]'
	touch $@ $(VENV)/.demo

# The group `docs` of pyproject.toml, in an environment of its own: the site's tools want nothing of ours.
$(VENV)/docs/.done: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m venv $(VENV)/docs
	$(BIN)/python -c 'import tomllib; found = tomllib.load(open("pyproject.toml", "rb")); \
	    print(*found["dependency-groups"]["docs"], sep="\n")' > $(VENV)/docs/requirements.txt
	$(VENV)/docs/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(VENV)/docs/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
