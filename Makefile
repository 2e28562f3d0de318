# make demo: a simulated scan, played into the node over TCP, to five maps and a picture (demo/demo.png);
#            the subject is one that no network of this software was trained on
# make docs: the documentation as a site, with the results of the examples, to read from build/site/index.html
# make test: lint, types, layers and the test suite
# make coverage: the test suite again, and that it covers enough of every package; tracing takes a quarter more time
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# per cent of lines and branches, just below what tests without a GPU cover in their own process
COVERED := gadgets=98 simulator=98.5 models=97.7 pipelines=93.5 pipelines/wire=98

# Both cores have tests to run; the threads of OpenBLAS would wait for each other there, which took twice the time.
test coverage: export OPENBLAS_NUM_THREADS = 1

.PHONY: demo docs test coverage bench constraints clean

demo: $(VENV)/ready
	$(BIN)/spokestream demo --seed 2000 --output demo

docs: build/notebooks/ready
	rm -rf build/site
	$(BIN)/python docs/build_site.py build/site

build/notebooks/ready: $(VENV)/ready docs/notebooks.py $(wildcard examples/*.py)
	$(BIN)/python docs/notebooks.py $(@D)
	touch $@

test: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist worksteal

coverage: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=
	@for part in $(COVERED); do echo "Coverage of $${part%=*}, at least $${part#*=} %:"; \
		$(BIN)/coverage report --format=total --include="$${part%=*}/*" --fail-under="$${part#*=}" || exit 1; done

bench: $(VENV)/ready
	$(BIN)/pip install --quiet -e '.[bench]'
	$(BIN)/python benchmarks/gridding.py
	$(BIN)/python benchmarks/matching.py
	$(BIN)/python benchmarks/simulation.py

# constraints.txt pins every version, so that all environments are the same; the package itself asks for lower bounds only.
# Its release of torch installs as a CPU build, newer ones bring CUDA along.
$(VENV)/ready: pyproject.toml hatch_build.py constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# write down the versions that .venv has, for instance after `.venv/bin/pip install --upgrade ...`
constraints:
	$(BIN)/python tools/constraints.py

clean:
	rm -rf $(VENV) demo build
