# Each target sets up what it needs by itself; `make help` lists them.

PYTHON := .venv/bin/python
JOBS ?= 2
TESTS ?= tests
KERNELS ?= bookworm trixie-backports
CORPUS ?=
BENCH ?=
C_FILES := $(wildcard bpf/*.c bpf/*.h tests/bench/*.c)

# A caller's Python (pyenv, PYTHONPATH, packages of the user) must not reach ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
export PYTHONNOUSERSITE := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin

PYTEST = $(PYTHON) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo bench bench-dataplane bench-cold bench-agent bench-apply bench-lint bench-control bench-change test test-unit test-all test-corpus test-kernels lint types imports fmt man clean python kernel root

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: kernel ## install what is missing: apt packages, .venv, bpffs (root; every other target does it too)

demo: kernel ## three hosts, a policy under git, and real connections allowed, refused and revoked (root)
	@$(PYTHON) -m examples.demo

bench: kernel ## everything below, and docs/performance.md made of it; BENCH="side lint" for a part (root, half an hour)
	@scripts/setup.sh bench
	@cd tests && ../$(PYTHON) -m bench.every $(BENCH)

bench-agent: kernel ## from a push to the first packet judged by the new policy, way by way (root, 3 minutes)
	@cd tests && ../$(PYTHON) -m bench.agent_delay

test: kernel ## the whole suite, kernel included, in under 10 minutes (root)
	@$(PYTEST) $(TESTS)

test-unit: python ## what needs neither root nor a kernel
	@$(PYTEST) -m "not kernel" $(TESTS)

test-all: kernel ## the long run: millions of random packets, every corpus at hand, a fuzzer (root)
	@scripts/setup.sh fuzz
	@MICROSEG_TEST_FULL=1 $(PYTEST) --timeout=3600 $(TESTS)

test-corpus: kernel ## filter sets from elsewhere against evaluator and kernel: CORPUS=folder (root)
	@test -d "$(CORPUS)" || { echo "Say where the corpus is: make test-corpus CORPUS=../shared/corpus" >&2; exit 64; }
	@MICROSEG_CORPUS="$(abspath $(CORPUS))" $(PYTEST) --timeout=3600 tests/corpus

test-kernels: TESTS = tests/kernel
test-kernels: kernel ## the kernel's tests on Debian's kernels, in qemu: KERNELS="bookworm trixie" (root, half an hour or more each)
	@scripts/setup.sh qemu
	@$(PYTHON) -m tests.kernels $(KERNELS) --pytest $(TESTS)

bench-dataplane: kernel ## what a packet costs, next to parsing and to a plain layout; what the maps take (root, 2 minutes)
	@cd tests && ../$(PYTHON) -m bench

bench-cold: kernel ## what a packet without a session costs, under 10 and 10,000 rules (root, a minute)
	@cd tests && ../$(PYTHON) -m bench.cold

bench-apply: kernel ## what a rollback and a staging take, by the size of the policy (root, a minute)
	@cd tests && unshare --net ../$(PYTHON) -m bench.applying

bench-change: kernel ## one rule of 10,000, from reading its file to the switch, step by step, beside `nft -f` (root, a minute)
	@scripts/setup.sh bench
	@cd tests && unshare --net ../$(PYTHON) -m bench.one_rule

bench-lint: python ## what lint takes, next to parsing and to `import lark`; CORPUS=folder adds its filter sets (a minute)
	@cd tests && MICROSEG_CORPUS="$(if $(CORPUS),$(abspath $(CORPUS)))" ../$(PYTHON) -m bench.lint

bench-control: kernel ## 1,000 to 100,000 rules: each phase, lint and plan as typed, memory, beside `nft -f` (root, 3 minutes)
	@scripts/setup.sh bench
	@cd tests && ../$(PYTHON) -m bench.control_plane

lint: python ## ruff and clang-format, nothing changed
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(if $(C_FILES),.venv/bin/clang-format --dry-run -Werror $(C_FILES))

types: python ## mypy --strict
	@$(PYTHON) -m mypy

imports: python ## who may import whom (.importlinter)
	@.venv/bin/lint-imports

fmt: python ## put everything into its format
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .
	@$(if $(C_FILES),.venv/bin/clang-format -i $(C_FILES))

man: python ## manual pages and shell completion, in build/share
	@$(PYTHON) -m microseg.cli.manual build/share

clean: ## remove caches and build products; .venv and installed packages stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@scripts/setup.sh python

root:
	@test "$$(id -u)" = 0 || { echo "This needs root, for the kernel part. Type: sudo make $(MAKECMDGOALS)" >&2; exit 1; }

kernel: root
	@scripts/setup.sh kernel
