# Everything lands in .venv/, .cache/, build/, site/, docs/files/, docs/proofs.json and tools/node_modules/,
# which git ignores.
# What is most often set stands at the end of `make help`.

PYTHON ?= python3
ADDRESS ?= 127.0.0.1:8000
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Material prints a notice about MkDocs 2 on every build; the lock keeps MkDocs 1.
export NO_MKDOCS_2_WARNING := 1
export PYTHON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help serve site test-snippets test-static test-engine test-site test-boot test-cluster cluster check bench lock lock-images format docker browser venv clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '%s\n' '' \
	  'KEEP=1         leave a booted stack up and print its addresses' \
	  'FRESH=1        boot again what has not changed since its proof' \
	  'CI=true        no progress bars' \
	  'IMAGES=...     official, substitute (from Debian packages), or auto: substitute where no registry answers' \
	  'REGISTRY=...   take official images from this mirror' \
	  'CHROMIUM=...   read the site with this browser' \
	  'PYTHON=...     make .venv with this interpreter'

serve: venv ## serve the handbook with live reload (ADDRESS=127.0.0.1:8000)
	$(BIN)/handbook serve $(ADDRESS)

site: venv ## make the site that is published in site/: strictly, with each page as Markdown too
	$(BIN)/handbook site

test-snippets: docker browser venv ## run every level: static checks, the engine's and the service's tests, the site, boots, the cluster
	@scripts/all-levels.sh

test-static: venv ## judge the files and the pages with what needs nothing but Python
	$(PYTEST) tests/static

test-engine: venv ## run the tests of the engine and of the service (Python only)
	$(PYTEST) tests/engine snippets/service/tests

test-site: docker browser venv ## read the built site in a browser (Docker for its web server, Chromium)
	$(PYTEST) tests/site

test-boot: docker venv ## boot the stacks and probe them (Docker); KEEP=1 leaves a stack up
	$(PYTEST) tests/boot

test-cluster: docker venv ## run the stacks of Kubernetes in a cluster of its own (Docker); its programs are built on first use
	$(PYTEST) tests/cluster

cluster: docker venv ## make a cluster of Kubernetes and keep it until Ctrl-C
	$(BIN)/handbook cluster 30080

check: venv ## run all checks of one file, and say who uses it: make check FILE=snippets/...
	$(BIN)/handbook check $(FILE)

bench: docker browser venv ## measure levels, memory and stacks: make bench, or one of them: make bench BENCH=memory
	$(BIN)/handbook bench $(BENCH)

lock: venv ## lock the requirements again, with hashes and without an index address
	$(BIN)/handbook lock

lock-images: docker venv ## lock the digests of all images, where a registry answers
	$(BIN)/handbook lock-images

format: venv ## format Python and shell files in place, and mend the lint that can be mended
	$(BIN)/handbook format

docker: ## make sure that a Docker engine answers; as root on Debian or Ubuntu it installs one
	@scripts/docker-engine.sh

browser: ## make sure that there is a Chromium; as root on Debian it installs one
	@scripts/browser.sh

venv: .venv/.ready ## make the environment from the locked requirements

.venv/.ready: requirements/handbook.txt pyproject.toml tools/package-lock.json scripts/venv.sh
	@scripts/venv.sh

clean: ## remove the environment, caches, artifacts and the built site
	rm -rf .venv .cache build site docs/files docs/proofs.json tools/node_modules
