# What CI runs is what a developer runs.

PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
BIN = $(VENV)/bin

.PHONY: environment format lint references types test docs test-vllm benchmark clean

environment:  ## make the virtual environment, with everything for development
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[local,eval,gateway,train,ui]' --group dev --group docs

format:  ## rewrite the sources as the formatter wants them
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/references.py --check

references:  ## rewrite the generated parts of the documentation
	$(BIN)/python docs/references.py

types:
	$(BIN)/mypy

test:  ## on all cores; the plug-in that measures times cannot work there, and nothing here asserts one
	$(BIN)/python -m pytest -n auto --dist loadfile --benchmark-disable

docs:  ## build the documentation's site into build/site; a warning fails
	$(BIN)/python docs/build.py

test-vllm:  ## the same graph on real vLLM servers: in an environment of its own, 3.4 GB, half an hour
	tests/vllm/environment.sh $(VLLM_VENV) $(PYTHON)
	RSD_TEST_VLLM=1 $(VLLM_VENV)/bin/python -m pytest tests/vllm -s

benchmark:  ## what the state machine itself costs
	$(BIN)/python benchmarks/overhead.py

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
