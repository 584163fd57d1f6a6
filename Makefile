# Every target prepares its own environment (under $OMNI_HOME/venvs, default ~/.omni) from requirements/dev.txt:
# no pip, no virtual environment and no tool beyond Python 3.11 is needed beforehand.
PYTHON ?= python3
DEVELOP = $(PYTHON) -m omni develop

.PHONY: run test test-fast test-long test-clients lint types bench docs web lock lock-clients

run:
	$(PYTHON) -m omni run

test: test-fast
	$(DEVELOP) pytest -m "real and not long" --durations=30

# The tests wait a third of their time for a screen or a process: three workers keep two processors busy. What pytest
# makes of the test files is kept between runs, whatever the shell says of bytecode, or each worker makes it anew.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) * 3 // 2)')
test-fast: export PYTHONDONTWRITEBYTECODE =
test-fast:
	$(DEVELOP) pytest -m "not real and not long" -n $(WORKERS) --dist worksteal

# What takes minutes: an engine built from its archive, a brain of 1.5 billion weights made smaller.
test-long:
	$(DEVELOP) pytest -m long -v

lint:
	$(DEVELOP) ruff check .
	$(DEVELOP) ruff format --check .
	$(DEVELOP) lint-imports

types:
	$(DEVELOP) mypy

bench:
	$(DEVELOP) benchmarks

docs:
	$(DEVELOP) docs.generate

# Builds the pages of the web interface; users need no Node, because what comes of it is committed.
web:
	cd omni/server/web && npm ci --ignore-scripts && npm run build

# Writes the lock files anew from pyproject.toml; needs uv on the PATH. They name hashes, never an index.
LOCK = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	--python-version 3.11 pyproject.toml
LOCK_ALONE = $(subst pyproject.toml,-,$(LOCK)) --no-deps # those that an engine's worker imports, and no more
# Features on demand are extras of pyproject.toml; their locks hold what the base set-up does not have, in versions that go with it.
FEATURES = code
IN_CORE = $(shell sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements/core.txt)
lock:
	$(LOCK) -o requirements/core.txt
	$(LOCK) --extra dev -o requirements/dev.txt
	for each in $(FEATURES); do $(LOCK) --extra $$each -c requirements/core.txt $(IN_CORE) | sed '/^#/d' > requirements/feature-$$each.txt; done
	echo "setuptools>=80,<81" | $(subst pyproject.toml,-,$(LOCK)) -o requirements/build.txt
	printf "jinja2\nmarkupsafe\nllguidance==1.0.1\n" | $(LOCK_ALONE) -o requirements/engine-llama-cpp.txt
	printf "mlx\nmlx-cpu; sys_platform == 'linux'\nmlx-metal; sys_platform == 'darwin'\nmlx-lm\ntokenizers\njinja2\n\
	markupsafe\nllguidance==1.0.1\n" | $(LOCK_ALONE) -o requirements/engine-mlx.txt

# Every example of docs/clients.md with the client that it is for, without a network: minutes, and two gigabytes of packages
# in the home. CLIENT=langchain tries one; BRAIN=NAME asks another brain than your own default.
test-clients:
	OMNI_TEST_CLIENT=$(CLIENT) OMNI_TEST_BRAIN=$(BRAIN) $(DEVELOP) pytest -v -rs --tb=short tests/clients/run.py

# Writes their lock files anew from the install lines of that page; needs uv and npm.
lock-clients:
	$(PYTHON) -m tests.clients.lock $(CLIENT)
