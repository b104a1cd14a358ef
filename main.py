"""Trains, evaluates or uses a model: `python main.py --config=configs/demo.py --workdir=runs`."""

import sys

from animal_clip_jax.run_commands import main

if __name__ == "__main__":
    sys.exit(main())
