# The commands of this project. Nothing to install first but Python 3.11 or newer.
#
# Variables are set on the command line: make serve PORT=9000 VAE_MAX_ROWS=100
# make hands every one of them, and so every VAE_* setting, to the command it starts.

PYTHON ?= python3
DOCKER ?= docker
VENV = .venv
HOST = $(or $(VAE_HOST),127.0.0.1)
PORT = $(or $(VAE_PORT),8000)
CHECKPOINT = $(or $(VAE_CHECKPOINT),released/mnist)
ARGS =

# Which build of torch, see deploy/torch_index.py.
TORCH ?= auto

PY = $(VENV)/bin/python
PIP_INSTALL = $(PY) -m pip install --constraint constraints.txt
# What is installed: torch first, then what serving needs, then what training adds, then
# what tests and checks add. A stamp is made last, so an installation that was cut short
# is done again.
TORCH_READY = $(VENV)/.torch-$(TORCH)
CAN_SERVE = $(VENV)/.can-serve
CAN_TRAIN = $(VENV)/.can-train
CAN_TEST = $(VENV)/.can-test
AUDITORS = $(VENV)-audit/.installed
TOOLS = $(VENV)-external/.installed
FRAMEWORKS = $(VENV)-frameworks
RAY = $(VENV)-ray
CLIENTS = $(VENV)-clients
# Where a browser on this machine finds what listens on HOST.
NEAR = $(patsubst ::,::1,$(patsubst 0.0.0.0,127.0.0.1,$(HOST)))
URL = http://$(if $(findstring :,$(NEAR)),[$(NEAR)],$(NEAR)):$(PORT)

.DEFAULT_GOAL := help
.PHONY: help serve train released penguins test test-quick test-external test-frameworks test-ray check audit sbom fuzz fuzz-bodies fix types install docker clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '%s\n' '' \
	  'Variables (make serve PORT=9000 VAE_MAX_ROWS=100):' \
	  '  HOST, PORT       where to serve [$(HOST), $(PORT)]' \
	  '  CHECKPOINT       the directory to serve [$(CHECKPOINT)]' \
	  '  VAE_*            any setting of the service, see docs/operating.md' \
	  '  ARGS             further arguments of train, released, penguins and test' \
	  '  PYTHON           the interpreter the environment is made with [$(PYTHON)]' \
	  '  TORCH            the build of torch: cpu, cuda, or a name such as cu130 [auto:' \
	  '                   cpu where there is no NVIDIA GPU and its index answers]' \
	  '  TORCH_INDEX_URL  where pip also looks for torch, instead of TORCH'

serve: $(CAN_SERVE) ## Serve the released model of MNIST, or CHECKPOINT=..., over HTTP
	@printf '%s\n' '' \
	  'Serving $(CHECKPOINT). To try it, in another terminal:' '' \
	  "  curl '$(URL)/sample?n=1&seed=7'" \
	  "  curl '$(URL)/model'" '' \
	  'or in a browser: $(URL)/' ''
	@VAE_HOST='$(HOST)' VAE_PORT='$(PORT)' VAE_CHECKPOINT='$(CHECKPOINT)' \
	  exec $(PY) -m app

train: $(CAN_TRAIN) ## Train, e.g. make train ARGS='--data my.npy --out checkpoints/mine'
	$(PY) -m model.train $(ARGS)

released: $(CAN_TRAIN) ## Train the released model of MNIST anew, in about ten minutes
	$(PY) -m model.train --data mnist --preset paper --binarization static --epochs 60 --seed 0 \
	  --out released/mnist --overwrite $(ARGS)

penguins: $(CAN_TRAIN) ## Train the released model of penguins anew, a table with gaps
	$(PY) -m model.train --data examples/penguins.csv --seed 0 \
	  --out released/penguins --overwrite $(ARGS)

# Each file of tests stays in one process, with the services that it starts; those that
# take longest begin first, and there are a quarter more processes than cores
# (tests/conftest.py), so that more threads of torch would only wait for each other. What
# a process compiled of the tests is stored for the next run.
PARALLEL_TESTS = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n auto --dist loadfile \
  --no-loadscope-reorder

test: $(CAN_TEST) ## Run the tests on all cores, e.g. make test ARGS='-k elbo'
	$(PARALLEL_TESTS) $(ARGS)

test-quick: $(CAN_TEST) ## Run only those that take no process, browser or training
	$(PARALLEL_TESTS) -m 'not slow and not external' $(ARGS)

# The tools bring thirty packages that nothing else here needs.
test-external: $(CAN_TEST) $(TOOLS) $(patsubst %,$(CLIENTS)/%/.installed,triton kserve) ## Check the service with the tools and clients of others, and nginx in front
	EXTERNAL_TOOLS='$(abspath $(VENV)-external/bin)' EXTERNAL_CLIENTS='$(abspath $(CLIENTS))' \
	  $(PY) -m pytest -m external $(ARGS)

# Each framework has an environment of its own, with torch to export what it trained.
test-frameworks: $(CAN_TEST) $(patsubst %,$(FRAMEWORKS)/%/.installed,torch keras jax pythae) ## Train in PyTorch, Keras, JAX and pythae, adopt, and compare
	EXTERNAL_FRAMEWORKS='$(abspath $(FRAMEWORKS))' $(PY) -m pytest -m external \
	  tests/external/test_adoption.py $(ARGS)

# Ray has an environment of its own, with the service in it.
test-ray: $(CAN_TEST) $(RAY)/.installed ## Serve in a local Ray, kill a replica, encode with Ray Data
	EXTERNAL_RAY='$(abspath $(RAY)/bin)' $(PY) -m pytest -m external \
	  tests/external/test_ray.py $(ARGS)

$(RAY)/.installed: pyproject.toml constraints.txt
	@'$(PYTHON)' -m venv '$(@D)'
	@index=$$($(if $(TORCH_INDEX_URL),echo --extra-index-url '$(TORCH_INDEX_URL)', \
	    '$(PYTHON)' deploy/torch_index.py '$(TORCH)')) && \
	  '$(@D)/bin/pip' install --quiet --constraint constraints.txt $$index torch
	@'$(@D)/bin/pip' install --quiet --constraint constraints.txt --editable '.[ray]'
	@touch $@

$(FRAMEWORKS)/%/.installed:
	@'$(PYTHON)' -m venv '$(@D)'
	@index=$$($(if $(TORCH_INDEX_URL),echo --extra-index-url '$(TORCH_INDEX_URL)', \
	    '$(PYTHON)' deploy/torch_index.py '$(TORCH)')) && \
	  '$(@D)/bin/pip' install --quiet --constraint constraints.txt $$index torch
	@'$(@D)/bin/pip' install --quiet numpy onnx onnxscript \
	  $(filter-out torch,$*) $(if $(filter jax,$*),jax2onnx)
	@touch $@

# Clients of the Open Inference Protocol; what each pins does not fit the others.
$(CLIENTS)/triton/.installed: PACKAGES = 'tritonclient[http]==2.73.0'
$(CLIENTS)/kserve/.installed: PACKAGES = 'kserve==0.21.0'
$(CLIENTS)/%/.installed:
	@'$(PYTHON)' -m venv '$(@D)'
	@'$(@D)/bin/pip' install --quiet $(PACKAGES)
	@touch $@

# s3fs needs a python-dateutil below 3, which generated clients accept too.
$(TOOLS):
	@'$(PYTHON)' -m venv $(VENV)-external
	@$(VENV)-external/bin/pip install --quiet 'openapi-python-client==0.29.1' \
	  'openapi-spec-validator==0.9.0' 'python-dateutil==2.9.0.post0' \
	  'huggingface_hub==2.4.0' 's3fs==2026.9.0' numpy pydantic
	@touch $@

check: $(CAN_TEST) ## Lint, formatting, types, known vulnerabilities
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy --strict app benchmarks client deploy model tests
	@$(MAKE) --no-print-directory audit

# Asked of OSV, which takes names and versions, so that nothing is installed to be looked
# at. Where there is no way to it, as on many build machines, that is said, and no error.
audit: $(CAN_TEST) ## Look for known vulnerabilities of the pinned versions, if osv.dev is reached
	@if $(PY) -c "from urllib.request import urlopen; urlopen('https://api.osv.dev/v1/query', \
	  b'{\"package\": {\"name\": \"pip\", \"ecosystem\": \"PyPI\"}, \"version\": \"26\"}', 5)" \
	  2>/dev/null; then $(MAKE) --no-print-directory $(AUDITORS) && \
	  $(VENV)-audit/bin/pip-audit --vulnerability-service osv --progress-spinner off \
	  --requirement constraints.txt --no-deps --disable-pip; \
	else echo 'api.osv.dev is not reached: the pinned versions are not audited.'; fi

sbom: $(CAN_TEST) $(AUDITORS) ## Write sbom.json: all that is installed in .venv (CycloneDX)
	@$(VENV)-audit/bin/cyclonedx-py environment --pyproject pyproject.toml \
	  --output-reproducible --output-format JSON --output-file sbom.json $(PY)
	@echo 'Written: sbom.json'

$(AUDITORS):
	@'$(PYTHON)' -m venv $(VENV)-audit
	@$(VENV)-audit/bin/pip install --quiet 'cyclonedx-bom==7.5.0' 'pip-audit==2.10.1'
	@touch $@

# In an environment of its own: it brings fifty packages that nothing else here needs.
fuzz: $(CAN_SERVE) ## Throw thousands of requests at the served model's own description
	@test -x $(VENV)-fuzz/bin/schemathesis || { '$(PYTHON)' -m venv $(VENV)-fuzz && \
	  $(VENV)-fuzz/bin/pip install --quiet 'schemathesis>=4.32,<5'; }
	@VAE_PORT=8799 VAE_CHECKPOINT='$(CHECKPOINT)' VAE_DRAIN_DELAY=0 $(PY) -m app & \
	  trap "kill $$!" EXIT; \
	  $(VENV)-fuzz/bin/schemathesis run http://127.0.0.1:8799/openapi.json \
	  --wait-for-schema 60 --checks all --exclude-checks positive_data_acceptance $(ARGS)

fuzz-bodies: $(CAN_TEST) ## Throw 50,000 mutated bodies of every format at every call
	$(PY) -m tests.app.wire.fuzz $(ARGS)

fix: $(CAN_TEST) ## Generate the blocking client, fix what ruff can fix, and format
	$(PY) client/generate_blocking.py
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

# Of any model of pictures, and of released/penguins. Needs npm.
types: $(CAN_TEST) ## Generate the types of client/typescript from OpenAPI documents
	UPDATE_TYPES=1 $(PY) -m pytest tests/client/test_typescript.py -k fresh

install: $(CAN_TEST) ## Make the environment in .venv without starting anything

# An index that is named serves torch alone; all else comes from pip's own.
$(TORCH_READY): constraints.txt
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo '$(PYTHON) not found. Name a Python 3.11 or newer: make PYTHON=/path/to/python3'; \
	  exit 1; } >&2
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed; $(PYTHON) is $$('$(PYTHON)' -V 2>&1)." \
	    'Name another: make PYTHON=/path/to/python3'; \
	  exit 1; } >&2
	@test -x $(VENV)/bin/pip || '$(PYTHON)' -m venv $(VENV)
	@echo 'Installing into $(VENV), once. Most of the time goes into torch.'
	@index=$$($(if $(TORCH_INDEX_URL),echo --extra-index-url '$(TORCH_INDEX_URL)', \
	    '$(PYTHON)' deploy/torch_index.py '$(TORCH)')) && \
	  $(if $(filter-out auto,$(TORCH)),$(PY) -m pip uninstall --quiet --yes torch &&) \
	  $(PIP_INSTALL) $$index torch
	@rm -f $(VENV)/.torch-*
	@touch $(VENV)/.torch-auto $@

$(CAN_SERVE): pyproject.toml constraints.txt $(TORCH_READY)
	@$(PIP_INSTALL) --editable .
	@touch $@

$(CAN_TRAIN): $(CAN_SERVE)
	@$(PIP_INSTALL) --editable '.[train]'
	@touch $@

$(CAN_TEST): $(CAN_TRAIN) client/pyproject.toml
	@$(PIP_INSTALL) --editable '.[train,dev]' --editable ./client
	@touch $@

# The Dockerfile has its own defaults: only what is set here is handed on.
docker: ## Build the image vae-service
	$(DOCKER) build --tag vae-service \
	  --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null)" \
	  --build-arg SOURCE="$$(git config --get remote.origin.url 2>/dev/null)" \
	  $(if $(EXTRAS),--build-arg EXTRAS='$(EXTRAS)') \
	  $(if $(BASE_IMAGE),--build-arg BASE_IMAGE='$(BASE_IMAGE)') \
	  $(if $(filter-out undefined,$(origin TORCH_INDEX_URL)),--build-arg TORCH_INDEX_URL='$(TORCH_INDEX_URL)') .

clean: ## Remove the environment and caches; checkpoints stay
	rm -rf $(VENV) $(VENV)-audit $(VENV)-external $(CLIENTS) $(FRAMEWORKS) $(RAY) $(VENV)-fuzz sbom.json .schemathesis .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info client/build client/*.egg-info
	find app client model tests -name __pycache__ -type d -prune -exec rm -rf {} +
