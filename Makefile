.DEFAULT_GOAL := help
SHELL := /bin/bash
UV := $(shell command -v uv || echo .tools/bin/uv)
RUN := $(UV) run --no-sync

# Where the system has certificates of its own (a company's, say), they count.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt),true,false)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

.PHONY: setup
setup: .venv/.synced ## Install everything into .venv

# Without uv on the path, one is put into .tools: the system's Python is not touched.
.tools/bin/uv:
	@echo "uv is not installed: putting it into .tools"
	@python3 -m venv .tools 2>/dev/null && .tools/bin/python -m pip install --quiet uv \
	  || { rm -rf .tools; python3 -m pip install --quiet --target .tools uv; } \
	  || { echo "uv could not be installed: install it, or Debian's python3-venv, and try again" >&2; exit 1; }

.venv/.synced: pyproject.toml gpu_server/pyproject.toml uv.lock .python-version $(filter .tools/bin/uv,$(UV))
	@$(UV) sync --locked --quiet
	@touch $@

.PHONY: demo
demo: setup ## Run the example flow on real messages and a real model, with Prefect
	@$(RUN) conduit demo

.PHONY: check
check: setup ## Static checks: format, lint, types, layers, dependencies
	$(RUN) ruff format --check --quiet .
	$(RUN) ruff check --quiet .
	$(RUN) mypy
	$(RUN) pyright --warnings tests/typing
	$(RUN) lint-imports
	$(RUN) deptry src
	$(RUN) --directory gpu_server deptry .

.PHONY: test
test: check ## All checks and all tests
	@tests/install_program.sh "the browser test" chromium chromium chromium-browser google-chrome
	@tests/install_program.sh "the tests of ssh with OpenSSH's server" openssh-server sshd
	@tests/install_program.sh "the tests of Prefect's server on Redis" redis-server redis-server
	@tests/install_postgres.sh
	$(RUN) pytest -n 2 --dist loadgroup

.PHONY: bench
bench: setup ## All benchmarks; each ends with one JSON line
	@set -e; for script in bench/[a-z]*.py; do echo "== $$script"; $(RUN) python $$script; done

.PHONY: docs
docs: setup ## Build the documentation into site/
	$(RUN) mkdocs build --strict

.PHONY: reference
reference: setup ## Write the documentation's pages of commands and settings
	$(RUN) python docs/reference/_write.py

.PHONY: constraints
constraints: ## Write the versions of uv.lock into gpu_server/constraints*.txt, for its images
	@$(call export-constraints,mistralrs,constraints)
	@$(call export-constraints,serverless,constraints-serverless)

define export-constraints
head -n 1 gpu_server/$(2).txt > gpu_server/$(2).tmp && \
$(UV) export --frozen --quiet --package conduit-gpu-server --extra $(1) --no-emit-workspace \
  --no-hashes --no-header --no-annotate >> gpu_server/$(2).tmp && \
mv gpu_server/$(2).tmp gpu_server/$(2).txt
endef

.PHONY: clean
clean: ## Remove what the other targets made
	rm -rf .venv .tools .artifacts .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis site
