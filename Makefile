# Tidegate: `make up` sets up and runs everything, `make test` checks everything. Needs Python 3.11-3.13 with venv, and make.

VENV := .venv
BIN := $(VENV)/bin
STEP := infra/local/step.sh
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-input --progress-bar off --root-user-action ignore
INSTALL = touch $(VENV)/.installing; $(STEP) 'installing $(1)' $(PIP) $(2); code=$$?; rm -f $(VENV)/.installing; exit $$code
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# An environment keeps its Python until it is removed. For a new one: the first that fits and was built with optimisations
# (up to a fifth less CPU for the same), as a distribution's own is, and pyenv's only where it was told to; else the first
# that fits. Another one: make up PYTHON=/path/to/python3.12
CANDIDATES := python3 python3.13 python3.12 python3.11 /usr/bin/python3
IS_FAST := import ensurepip, sys, sysconfig, venv; sys.exit(sys.base_prefix != "/usr" and "--enable-optimizations" not in str(sysconfig.get_config_var("CONFIG_ARGS")))
ifndef PYTHON
KEPT := $(shell sed -n 's/^executable = //p' $(VENV)/pyvenv.cfg 2>/dev/null)
PYTHON := $(shell for one in $(KEPT) $(CANDIDATES); do $$one -c '$(SUPPORTED)' || continue; first=$${first:-$$one}; \
	if test "$$one" = '$(KEPT)' || $$one -c '$(IS_FAST)'; then first=$$one; break; fi; done 2>/dev/null; echo $$first)
endif

# An environment made for another folder or by another version, or whose installation was cut off by force, is made again.
VERSION := $(shell $(PYTHON) -c 'import sys; print(sys.version_info[:2])' 2>/dev/null)
MADE_FOR := $(CURDIR) $(VERSION)
IS_USABLE := import pip, sys; sys.exit("$(VERSION)" != str(sys.version_info[:2]))
ifneq ($(MADE_FOR),$(shell cat $(VENV)/.made-for 2>/dev/null)$(wildcard $(VENV)/.installing))
$(shell rm -f $(VENV)/.made-for $(VENV)/.run-installed $(VENV)/.dev-installed)
endif

.PHONY: up setup test test-fast test-faults lint tools timescale console help
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

help:
	@echo 'make up         set up (the first time) and run everything, with a demo tenant; Ctrl-C stops it'
	@echo 'make test       every check and test'
	@echo 'make test-fast  the tests that need no database, no Valkey, no browser and no patience'
	@echo 'make test-faults  everything killed, cut off and filled up again and again, under load: some twenty minutes'
	@echo 'make lint       ruff, mypy, import-linter'

up: setup
	@exec $(BIN)/tidegate up --demo

setup: $(VENV)/.run-installed

$(VENV)/.made-for:
	@test -n '$(PYTHON)' || { echo 'Tidegate needs Python 3.11, 3.12 or 3.13 and finds none (python3 is $(shell python3 --version 2>&1)). On Debian: apt-get install python3 python3-venv; or: make up PYTHON=/path/to/python3.12' >&2; exit 1; }
	@$(PYTHON) -c '$(SUPPORTED)' || { echo '$(PYTHON) is not Python 3.11, 3.12 or 3.13; choose another: make up PYTHON=/path/to/python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'Python has no venv module here. On Debian: apt-get install python3-venv' >&2; exit 1; }
	@test -w . || { echo 'This user may not write in $(CURDIR), where the Python environment goes: clone the project into a folder of your own.' >&2; exit 1; }
	@{ test ! -e $(VENV)/.installing && $(BIN)/python -c '$(IS_USABLE)' && grep -q '$(CURDIR)/$(VENV)' $(BIN)/pip; } 2>/dev/null || $(STEP) 'making the Python environment with $(PYTHON)' $(PYTHON) -m venv --clear $(VENV)
	@echo '$(MADE_FOR)' > $@

$(VENV)/.run-installed: $(VENV)/.made-for requirements.lock pyproject.toml
	@$(call INSTALL,the packages Tidegate runs with,--require-hashes -r requirements.lock)
	@$(call INSTALL,Tidegate itself,--no-deps --no-build-isolation -e .)
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.run-installed requirements-dev.lock
	@$(call INSTALL,the packages Tidegate is tested with,--require-hashes -r requirements-dev.lock)
	@touch $@

console: setup
	@$(BIN)/python -m infra.local.console_build

# What the tests use beside Python's packages: a browser, a library that Playwright's driver needs, curl, mosquitto_pub and
# coap-client as devices nobody here wrote, and mosquitto as their broker (whose service is not wanted: it takes port 1883).
# Of Chromium, where root can have it, the one without windows: these took a third of what the browser's tests took of the CPU.
HAS_ATOMIC := import ctypes; ctypes.CDLL("libatomic.so.1")
DEBIAN_TOOLS = $(shell command -v chromium >/dev/null || echo chromium fonts-liberation; command -v mosquitto_pub >/dev/null || echo mosquitto-clients; command -v curl >/dev/null || echo curl; command -v coap-client-notls >/dev/null || echo libcoap3-bin; test -x /usr/sbin/mosquitto || echo mosquitto; $(PYTHON) -c '$(HAS_ATOMIC)' 2>/dev/null || echo libatomic1)
tools:
	@missing='$(strip $(DEBIAN_TOOLS))'; test -z "$$missing" || \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		$(STEP) "installing $$missing" sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; case '$$missing' in *mosquitto*) systemctl disable --now mosquitto >/dev/null 2>&1 || true;; esac"; \
	else echo "The tests need more programs. Install them first: sudo apt-get install $$missing" >&2; exit 1; fi
	@test "$$(id -u)" != 0 || command -v chromium-headless-shell >/dev/null || ! apt-cache show chromium-headless-shell >/dev/null 2>&1 || \
		$(STEP) 'installing a Chromium without windows' apt-get install -y -q --no-install-recommends chromium-headless-shell || \
		echo 'The tests go on with the Chromium that is here, which takes two minutes more.'

# TimescaleDB compiled to WebAssembly, fetched by the bun that builds the console and run by the Node of Playwright's wheel.
TIMESCALE := tests/support/timescale
timescale: $(TIMESCALE)/node_modules
$(TIMESCALE)/node_modules: $(TIMESCALE)/package-lock.json $(VENV)/.dev-installed
	@cd $(TIMESCALE) && $(CURDIR)/$(STEP) 'installing TimescaleDB, for the tests' $(CURDIR)/$(BIN)/bun install --frozen-lockfile
	@touch $@

lint: $(VENV)/.dev-installed
	@$(STEP) 'ruff check' $(BIN)/ruff check .
	@$(STEP) 'ruff format' $(BIN)/ruff format --check .
	@$(STEP) 'mypy' $(BIN)/mypy
	@$(STEP) 'import-linter' $(BIN)/lint-imports

# Many tests start processes: compiled modules are kept even where the environment says not to, or each compiles all anew.
test test-fast: export PYTHONDONTWRITEBYTECODE =

# Each core has a process with engines of its own (tests/conftest.py says what stays together), and one more works while
# those wait, as tests do for a third of their time; a console and a browser want a core and a half and 1 GB, so four are
# enough. Leaves nothing behind that git does not ignore.
CORES := $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

test: $(VENV)/.dev-installed tools timescale
	@$(MAKE) --no-print-directory -j2 console lint
	@$(BIN)/pytest -p no:cacheprovider -n $$(($(CORES) + 1)) --maxprocesses=4 --no-loadscope-reorder

# Every process killed twenty times under load, an edge and a broker among them, every other trouble some times, two
# thousand devices cut off at once, and one table at the end. What it wants beyond the tests' programs: root, and strace.
test-faults: $(VENV)/.dev-installed tools
	@command -v strace >/dev/null || { test "$$(id -u)" = 0 && apt-get install -y -q --no-install-recommends strace; }
	@$(BIN)/tidegate bench faults

test-fast: $(VENV)/.dev-installed
	@$(BIN)/pytest -m 'not engines and not browser and not slow' --hypothesis-profile=fast
