.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/wsgi-vs-asgi
# Extra words for a command, as in: make compare ARGS="--rounds 12"
ARGS ?=
# Two stamps, so that running needs no development tools.
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
# Of two terminals on a fresh clone one waits for the other. The shell keeps the lock that Python takes for it.
LOCK = $(PYTHON) -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX$(1))'
ALONE = mkdir -p $(VENV) && exec 9>$(VENV)/.lock || exit; $(call LOCK, | fcntl.LOCK_NB) 2>/dev/null \
  || { echo "Waiting for another make, which sets up $(VENV) ..." >&2; $(call LOCK) || exit; }
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r

##@ Run
.PHONY: run-wsgi
run-wsgi: $(READY) ## Serve the WSGI edition on port 8001
	@exec $(RUN) run wsgi

.PHONY: run-asgi
run-asgi: $(READY) ## Serve the ASGI edition on port 8002
	@exec $(RUN) run asgi

##@ Compare
.PHONY: check
check: $(READY) ## Prove that both editions answer the same bytes (ARGS="URL URL" for running services)
	@$(RUN) check $(ARGS)

.PHONY: compare
compare: $(READY) ## Check, then load both editions and print the comparison (ARGS="--dry-run" for its plan)
	@$(RUN) compare $(ARGS)

.PHONY: report
report: $(READY) ## Make the HTML page of a comparison or of claims anew (ARGS="claims" or "results/20...-compare")
	@$(RUN) report $(ARGS)

.PHONY: factors
factors: $(READY) ## List what make compare can swap (ARGS="--factor server=granian")
	@$(RUN) factors $(ARGS)

.PHONY: diff
diff: $(READY) ## Compare two results of make compare (ARGS="results/20...-compare latest")
	@$(RUN) diff $(ARGS)

.PHONY: locust
locust: $(READY) ## Write the scenarios as a locustfile, for load from several machines (ARGS="--output load.py")
	@$(RUN) export locust $(ARGS)

.PHONY: claims
claims: $(READY) ## Put what is said about engines, pools, sessions and async to the test (ARGS="C11 --verbose")
	@$(RUN) claims $(ARGS)

.PHONY: validate
validate: $(READY) ## Show the lab what is known: delays, itself, planted differences, wrk (under 10 minutes)
	@$(RUN) validate $(ARGS)

.PHONY: bench-services
bench-services: $(READY) ## Compare each edition with a raw driver under the same server
	@$(RUN) bench-services $(ARGS)

.PHONY: bench-trace
bench-trace: $(READY) ## Compare each edition with itself without the hooks of tracing
	@$(RUN) bench-trace $(ARGS)

.PHONY: ladder
ladder: $(READY) ## Show where the difference in CPU time comes from, rung by rung (ARGS="--dry-run" for its plan)
	@$(RUN) ladder $(ARGS)

.PHONY: twins
twins: $(READY) ## Show where the twin files differ, line by line
	@$(RUN) twins $(ARGS)

##@ Look
.PHONY: trace
trace: $(READY) ## Draw one request's way through both editions (ARGS="/db --repeat 20")
	@$(RUN) trace $(ARGS)

.PHONY: config
config: $(READY) ## Show every setting in force and where it comes from
	@$(RUN) config $(ARGS)

.PHONY: size
size: $(READY) ## Tell whether workers, threads, pools and time-outs fit the database (ARGS="--measure")
	@$(RUN) size $(ARGS)

.PHONY: doctor
doctor: $(READY) ## Check what this machine offers, and say what is missing
	@$(RUN) doctor $(ARGS)

.PHONY: database-url
database-url: $(READY) ## Print the database's URL, for psql and friends
	@$(RUN) database-url $(ARGS)

.PHONY: database-reset
database-reset: $(READY) ## Drop and seed the project's tables anew
	@$(RUN) database-reset $(ARGS)

##@ Develop
# Each of the three has a database and services of its own; the tests of a file share theirs. Many of them wait.
PARALLEL ?= -n 3 --dist loadfile
.PHONY: test
test: lint ## Run lint, types and every test
	@$(BIN)/python -m pytest -m "not slow" $(PARALLEL) $(ARGS)
	@$(BIN)/python -m pytest -m slow $(PARALLEL) $(ARGS)

.PHONY: lint
lint: $(READY_DEV) ## Check style and types; changes nothing
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy wsgi_app asgi_app shared tests

.PHONY: format
format: $(READY_DEV) ## Format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: lock
lock: $(READY_DEV) ## Resolve the dependencies anew into both lock files
	@for group in build dev; do \
	  file=requirements.txt; [ $$group = build ] || file=requirements-dev.txt; \
	  $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url pyproject.toml --group $$group -o $$file || exit; \
	done

.PHONY: clean
clean: ## Remove everything that was made here: environment, database, results, caches
	@if [ -x $(RUN) ]; then $(RUN) clean; fi
	@rm -rf $(VENV) results build .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 3; }
	@$(ALONE); [ $@ -nt requirements.txt ] && [ $@ -nt pyproject.toml ] && exit; \
	  echo "Setting up $(VENV) (once, about a minute) ..." >&2; \
	  $(PYTHON) -m venv $(VENV) \
	  && $(INSTALL) requirements.txt \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . \
	  && touch $@

$(READY_DEV): $(READY) requirements-dev.txt
	@$(ALONE); [ $@ -nt requirements-dev.txt ] && exit; \
	  echo "Installing the development tools (once) ..." >&2; \
	  $(INSTALL) requirements-dev.txt && touch $@
