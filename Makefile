# make demo    Duck behind a local stand-in for Dify, at http://127.0.0.1:8000 (PORT=8080 make demo for another port)
# make debug   Duck inside a running Dify, by the address and key in .env; without one behind `python -m devhost --remote`
# make test    all tests; what Duck's own code does is covered by the unit tests. Those of the real process run beside the others
# make check   format, lint and types, also those of the page's scripts where there is npm
# make types   the types of the page's scripts alone, by TypeScript from npm
# make package duck.difypkg, to be uploaded to Dify
# make coverage   the unit tests again, for the branches that they take, which doubles their time
# make fuzz    40,000 requests and settings as nobody sane would send them; make test tries 200
# make bench   speed, next to a relay that does nothing; volume: thousands of runs and clients, and whether anything is lost; the page
# make conformance   MCP's own conformance kit, with npm
# make clients other clients, unchanged: LangChain, LiteLLM, FastMCP, and with npm those for JavaScript, of all protocols
# make test-sdk-latest   the same tests of Duck in each way of running, on the newest SDK that requirements.txt allows
#
# Needs git, make and any Python 3.9+ with pip. uv is fetched into .uv/ where there is none, and brings Python 3.12 where that is missing.
# Checks of the page's scripts, conformance and clients need Node.js with npm, too.
# Tests need curl, Chromium and nginx, too: on Debian and its kin root gets them, nginx unpacked in .nginx/ and not installed.

PORT ?= 8000
PYTHON3 ?= python3
# Tried here, not just looked up: a version manager's stand-in can be on the PATH and still refuse to run.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)

LANES := test-unit test-devhost test-core test-other

.PHONY: demo debug test $(LANES) coverage test-sdk-latest check types fuzz programs conformance clients bench package format clean

demo: .venv/ready
	@exec .venv/bin/python -m devhost --port $(PORT)

debug: .venv/ready
	@exec .venv/bin/python -m devhost.debug

# The tests run in lanes beside each other, since those of the real process mostly wait. Each lane shows its output at its end.
PAGES := tests/e2e/page
PROCESS := $(addprefix tests/e2e/test_,limits.py real_dify.py transport.py ways.py)
CORE := $(addprefix tests/e2e/test_,attacks.py conformance.py inputs.py matrix.py needles.py)
FACES := $(wildcard $(addprefix tests/e2e/test_,a2a.py agui.py mcp.py openai.py))
LANE = > .venv/$@.log 2>&1; status=$$?; cat .venv/$@.log; exit $$status

test: .venv/ready programs
	@.venv/bin/python -m compileall -q duck endpoints devhost tests bench
	@$(MAKE) --no-print-directory -j4 -k $(LANES)

test-unit:
	@{ .venv/bin/coverage run -m pytest tests --ignore tests/e2e && .venv/bin/coverage report && \
		.venv/bin/python -m pytest $(PROCESS) $(FACES); } $(LANE)

coverage: .venv/ready
	@COVERAGE_CORE=ctrace .venv/bin/coverage run --branch -m pytest tests --ignore tests/e2e
	@.venv/bin/coverage report

test-devhost:
	@{ .venv/bin/python -m pytest devhost/tests && .venv/bin/python -m pytest $(PAGES); } $(LANE)

test-core:
	@.venv/bin/python -m pytest $(CORE) $(LANE)

test-other:
	@.venv/bin/python -m pytest tests/e2e $(addprefix --ignore=,$(PAGES) $(PROCESS) $(CORE) $(FACES)) $(LANE)

test-sdk-latest: .venv/ready
	@$(UV) venv --quiet --clear .venv/latest
	@$(UV) pip install --quiet --python .venv/latest/bin/python --requirements pyproject.toml --group dev
	@$(UV) pip install --quiet --python .venv/latest/bin/python --upgrade --requirements requirements.txt
	@echo | .venv/latest/bin/python -m tests.e2e.transports sdk
	@.venv/latest/bin/python -m pytest tests/e2e/test_conformance.py

check: .venv/ready
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory types; else echo "No npm: the page's scripts are not checked."; fi

types: .venv/page/ready
	@.venv/page/node_modules/.bin/tsc --project tests/page

fuzz: .venv/ready
	@.venv/bin/python -m pytest tests/test_fuzz.py tests/e2e/test_fuzz.py --hypothesis-profile=fuzz

programs:
	@for program in curl $${DUCK_CHROMIUM:-chromium}; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing$$missing ..." && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	fi
	@PATH="$$PATH:/usr/sbin:$$PWD/.nginx/usr/sbin"; \
	if ! command -v nginx >/dev/null && command -v apt-get >/dev/null; then \
		echo "Fetching nginx ..." && mkdir -p .nginx && cd .nginx && \
		fetch='apt-get -qq -o APT::Sandbox::User=root download nginx' && \
		{ $$fetch || { apt-get update -qq && $$fetch; }; } && dpkg -x nginx_*.deb .; \
	fi

conformance: .venv/ready .venv/conformance/ready
	@.venv/bin/python -m tests.conformance

clients: .venv/ready .venv/clients/ready
	@cp tests/clients/*.mjs .venv/clients/node
	@.venv/bin/python -m tests.clients

bench: .venv/ready
	@.venv/bin/python -m bench.speed
	@.venv/bin/python -m bench
	@.venv/bin/python -m bench.attacks
	@.venv/bin/python -m bench.page

package: .venv/ready
	@if command -v dify >/dev/null; then dify plugin package . -o duck.difypkg; else .venv/bin/python -m devhost.package; fi

format: .venv/ready
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

clean:
	rm -rf .venv .uv .nginx .mypy_cache .ruff_cache .pytest_cache .coverage

# Compiled once: tests start some hundred processes, each of which would compile the SDK again where Python may not write bytecode.
# A .venv without its `ready` is one that was interrupted: it is made anew.
.venv/ready: pyproject.toml .python-version Makefile $(filter .uv/bin/uv,$(UV))
	@echo "Setting up .venv ..."
	@$(UV) venv --quiet --clear .venv
	@$(UV) pip install --quiet --compile-bytecode --python .venv/bin/python --requirements pyproject.toml --group dev --group faces
	@touch $@

.venv/clients/ready: tests/clients/requirements.txt tests/clients/package.json | .venv/ready
	@echo "Setting up .venv/clients ..."
	@$(UV) venv --quiet --clear .venv/clients
	@$(UV) pip install --quiet --python .venv/clients/bin/python --requirements tests/clients/requirements.txt
	@$(UV) pip install --quiet --python .venv/clients/bin/python --no-deps --target .venv/clients/dify-api-client dify-api-client==0.0.23
	@mkdir -p .venv/clients/node && cp tests/clients/package.json .venv/clients/node
	@cd .venv/clients/node && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

.venv/conformance/ready: tests/conformance/package.json | .venv/ready
	@echo "Setting up .venv/conformance ..."
	@mkdir -p .venv/conformance && cp tests/conformance/package.json .venv/conformance
	@cd .venv/conformance && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

.venv/page/ready: tests/page/package.json | .venv/ready
	@echo "Setting up .venv/page ..."
	@mkdir -p .venv/page && cp tests/page/package.json .venv/page
	@cd .venv/page && npm install --silent --no-audit --no-fund --no-package-lock
	@touch $@

# Outside this folder, where .python-version would make a version manager insist on a Python 3.12 that may not be there yet.
.uv/bin/uv:
	@echo "Fetching uv ..."
	@cd / && PIP_ROOT_USER_ACTION=ignore $(PYTHON3) -m pip install --quiet --disable-pip-version-check --target '$(CURDIR)/.uv' uv
