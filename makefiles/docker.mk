# The image: docs/how-to/containers.md. DEVICE=gpu takes a CUDA base; TORCH_INDEX names the index of PyTorch's CPU builds, without
# which the image holds CUDA too; IMAGE names it.
IMAGE ?= evidence-hpo
DEVICE ?= cpu
COMMAND ?= run $(if $(CORES),--cores $(CORES))
BASE_cpu := python:3.11-slim-bookworm
BASE_gpu := nvidia/cuda:12.8.1-base-ubuntu24.04
BASE ?= $(BASE_$(DEVICE))
TORCH_INDEX ?=

.PHONY: docker-build docker-run

docker-build:  ## Build the image (DEVICE=cpu or gpu, IMAGE=evidence-hpo, BASE, TORCH_INDEX)
	docker build --tag $(IMAGE) --file docker/Dockerfile --build-arg BASE=$(BASE) --build-arg TORCH_INDEX=$(TORCH_INDEX) .

docker-run:  ## Run the study in the image, in this folder (DEVICE=gpu takes all GPUs; COMMAND="run --cores all")
	docker run --rm --init --hostname $(shell hostname) $(if $(filter gpu,$(DEVICE)),--gpus all --shm-size 4g) --user $(shell id -u):$(shell id -g) \
		--volume $(CURDIR):/workspace $(IMAGE) $(COMMAND) $(OVERLAY)
