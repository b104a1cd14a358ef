"""Installation: `pip install -e .` and the extras cuda, tpu, torch, test."""

import pathlib

from setuptools import find_packages, setup

# The model and the step need these alone.
CORE = [
    "absl-py>=2.5",
    "etils>=1.15",
    "flax>=0.12.8",
    "jax>=0.10.2",
    "ml_collections>=1.1.0",
    "ml_dtypes>=0.6",
    "numpy>=2.4",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "rich>=15.0",
    "tensorboardX>=2.6.5",
]
# What data_pipeline/, the tokenizer and the writing of descriptions add.
DATA = [
    "av>=18.1",
    "httpx2>=2.16",
    "openpyxl>=3.1",
    "pillow>=13.0",
    "tensorflow>=2.21.0",
    "tensorflow-datasets>=4.9.10",
    "tqdm>=4.67",
    "transformers>=5.23",
]

setup(
    name="animal-clip-jax",
    version=pathlib.Path(__file__)
    .with_name("animal_clip_jax")
    .joinpath("version.py")
    .read_text(encoding="utf-8")
    .split('"')[-2],
    description="Animal-CLIP in JAX: animal action recognition from video and language",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["animal_clip_jax*", "data_pipeline*", "configs*"]),
    package_data={
        "animal_clip_jax.text": ["data/*"],
        "animal_clip_jax.classes.writing": ["data/*"],
    },
    install_requires=CORE + DATA,
    extras_require={
        "cuda": ["jax[cuda12]>=0.10.2"],
        "tpu": ["jax[tpu]>=0.10.2"],
        "torch": ["torch>=2.13.0", "safetensors>=0.8"],
        "test": [
            "hypothesis>=6.170",
            "import-linter>=2.17",
            "instant-clip-tokenizer>=0.1.1",
            "mypy>=2.4",
            "pre-commit>=4.7",
            "pytest>=9.2",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "scikit-learn>=1.9",
        ],
    },
)
