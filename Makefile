# Two commands do all the set-up on a fresh machine: `make compare` runs the main job, `make test` passes the tests.

PYTHON ?= $(firstword $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each; done))
VENV := .venv
BIN := $(VENV)/bin

# Two targets of one command line would let two pips loose on one environment.
.NOTPARALLEL:

.PHONY: compare test check benchmark gate-accuracy verify mutants mutation docs picture tables notebooks clean

compare: $(VENV)/.installed ## the three runners side by side; ARGS="--seconds 60" and the like
	$(BIN)/harness compare $(ARGS)

test: $(VENV)/.tested ## the tests, on every engine that this machine has
	$(BIN)/pytest --numprocesses 3 --dist loadfile $(ARGS)

check: $(VENV)/.tested ## what a reader would object to
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(VENV)/.tested ## the figures that the README quotes, on the engine of DOCKER_HOST
	$(BIN)/pytest scenarios --ignore=scenarios/properties $(ARGS)

verify: $(VENV)/.installed ## what the runners claim, proved or refuted; ARGS="--engine local" and the like
	$(BIN)/harness verify $(ARGS)

mutants: $(VENV)/.tested ## whether the proofs have teeth: writes docs/reference/mutants.md, in some ten minutes
	$(BIN)/python -m tests.mutants --write

mutation: $(VENV)/.tested ## which small wrong variants of the code its tests catch; ARGS="--sample 30 --seed 1 --only stats"
	$(BIN)/python -m tests.mutation $(ARGS)

docs: $(VENV)/.documented ## the documentation in build/docs; the notebooks are executed on the way
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

picture: $(VENV)/.installed ## draw the README's picture anew, from results/recordings
	$(BIN)/python docs/picture.py

tables: $(VENV)/.installed ## write anew what the table of metrics determines: the schema, and tables of the reference
	$(BIN)/python docs/tables.py

notebooks: $(VENV)/.documented ## open the notebooks in Jupyter; it works on copies in build/notebooks
	@$(BIN)/pip install --quiet --editable '.[notebooks]'
	@mkdir -p build/notebooks && ln -sfn ../results build/results
	@for each in notebooks/*.py; do $(BIN)/jupytext --quiet --to ipynb $$each -o build/notebooks/$$(basename $$each .py).ipynb; done
	$(BIN)/jupyter lab build/notebooks

recordings: $(VENV)/.installed ## measure and prove again what results/recordings holds, in an hour
	results/record.sh $(ARGS)

gate-accuracy: $(VENV)/.tested ## how often the gate is wrong; ARGS="--record 240 --real 20" measures anew
	$(BIN)/python -m scenarios.gate_accuracy $(ARGS)

clean: $(VENV)/.installed ## what crashed runs left behind
	$(BIN)/harness clean

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or later here; install one, or give make PYTHON=/path/to/it" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV), which takes half a minute the first time"
	@$(BIN)/pip install --quiet --editable '.[results,verify]'
	@touch $@

$(VENV)/.tested: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV), which takes half a minute the first time"
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.documented: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV), which takes a minute the first time"
	@$(BIN)/pip install --quiet --editable '.[docs]'
	@touch $@
