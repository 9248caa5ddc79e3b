PYTHON ?= python3
VENV := .venv
BUILDER ?= $(firstword $(foreach tool,docker podman buildah,$(if $(shell command -v $(tool)),$(tool))))
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export BUILDAH_FORMAT := docker

.PHONY: help repro recipe new test serve bench runtimes environments wheel image triton slow lock clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

repro: $(VENV)/installed  ## rebuild everything: data, model, verdict, ONNX file, parity; DATA=uci_digits needs no network
	@python -m stages.check $(DATA)
	@if ! git rev-parse --git-dir >/dev/null 2>&1; then dvc config --local core.no_scm true; \
	elif grep -qs no_scm .dvc/config.local; then dvc config --local --unset core.no_scm; fi
	@echo "running the stages that are not up to date; all of them take two to three minutes on two cores"
	dvc repro
	dvc metrics show
	@echo "The model: serving/mnist_serving/model.onnx    What it got wrong: reports/mistakes.png"

recipe: $(VENV)/installed  ## fill boxes 1 to 4 of params.yaml: make recipe NAME=tutorial, quick, accurate or cnn
	@python -m stages.recipe "$(NAME)"

new: $(VENV)/installed  ## start a project of your own: make new DEST=../my-project NAME=my-project
	@python -m stages.new "$(DEST)" "$(NAME)"

test: $(VENV)/installed  ## run linters, type checks and all tests, on all cores
	ruff check
	ruff format --check
	mypy
	pytest -n auto --dist loadfile

serve: $(VENV)/installed  ## serve the model and the drawing page on http://127.0.0.1:8000
	mnist-serving serve

bench: $(VENV)/installed  ## run all benchmarks, each beside an alternative; about an hour
	python -m benchmarks.training
	python -m benchmarks.inference
	python -m benchmarks.canonicalize
	python -m benchmarks.serving
	python -m benchmarks.hostile
	python -m benchmarks.fuzz --cases 5000
	python -m benchmarks.soak --requests 1000000
	python -m benchmarks.web
	python -m benchmarks.memory
	python -m benchmarks.batches
	python -m benchmarks.balancers
	python -m benchmarks.same_bytes --emulate Haswell Skylake-Client EPYC

wheel: $(VENV)/installed  ## build the package, with the model in it, into dist/
	python -m hatchling build --target wheel

image:  ## build the container image mnist-serving, with docker, podman or buildah
	$(or $(BUILDER),$(error needs docker, podman or buildah, none of which is here)) build $(BUILD_FLAGS) --file deploy/Containerfile --tag mnist-serving .

triton: FOLDER ?= build/triton
triton:  ## write a model repository for Triton Inference Server into FOLDER, build/triton
	$(PYTHON) deploy/triton/repository.py $(FOLDER)

slow: $(VENV)/installed  ## test what `make test` leaves out: image, Docker, Ray, Triton, S3, oldest versions; needs 6 GB
	@$(MAKE) environments || echo "what needs these will say that it did not run"
	pytest -m slow

runtimes: $(VENV)/installed  ## compare the model's answers in every runtime
	@python -m benchmarks.environments || echo "what needs these will say that it did not run"
	python -m benchmarks.runtimes

environments: NAMES ?= tritonclient kserve schemathesis hadolint kubernetes compose team ray triton
environments: $(VENV)/installed  ## install the other runtimes, clients and engines that tests use, 6 GB
	@python -m benchmarks.environments; failed=$$?; python -m benchmarks.peer_environments $(NAMES) && exit $$failed

lock:  ## pin the newest versions that pyproject.toml admits in requirements.lock
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-lock/bin/python -m pip install --quiet --group pipeline --group dev
	$(VENV)-lock/bin/python -m pip freeze | sed -E 's/\+cpu|\+cu[0-9]+//; /^(nvidia|triton|cuda)/d' > requirements.lock
	rm -rf $(VENV)-lock

clean:  ## remove the environment and everything that the pipeline can rebuild
	rm -rf $(VENV) .venv-runtimes benchmarks/runners/node_modules examples/web/node_modules examples/web/dist dvc_plots build dist
	rm -rf data/dataset.json data/*.safetensors models/*.safetensors models/train.checkpoint
	rm -rf reports/confusion.csv reports/mistakes.png reports/test_logits.safetensors

$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "installing the pinned set into $(VENV), once, a minute or more"
	@$(PYTHON) -m venv $(VENV)
	@python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
