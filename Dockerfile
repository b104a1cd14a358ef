# Animal-CLIP in JAX on a CUDA machine. The host brings NVIDIA's driver and container toolkit;
# CUDA itself comes with JAX.
#
#   docker build --tag animal-clip .
#   docker run --rm --gpus=all animal-clip -c 'import jax; print(jax.devices())'
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app

# First what changes rarely: these layers are kept when only the code changes.
COPY setup.py pyproject.toml README.md ./
COPY animal_clip_jax/version.py animal_clip_jax/version.py
# Which versions is said in setup.py.
# hadolint ignore=DL3013
RUN pip install '.[data,cuda]' && pip uninstall --yes animal-clip-jax

COPY . .
# hadolint ignore=DL3013
RUN pip install --no-deps . \
    && mkdir -p data runs weights \
    && chown 1000 data runs weights
# For files that programs keep, whoever the container runs as.
ENV HOME=/tmp
USER 1000

ENTRYPOINT ["python"]
CMD ["-c", "import animal_clip_jax, jax; print(animal_clip_jax.__version__, jax.devices())"]
