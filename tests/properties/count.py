"""How often damages of each format are noticed: `python tests/properties/count.py`.

A line a format, in Markdown: refused in one line, read as the same values, read as the file now
says (formats of others without a checksum), read as something else in silence, and anything that is
no refusal.
"""

import argparse
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

from damage import OUTCOMES, Instance  # noqa: E402
from formats import FORMATS  # noqa: E402


def main() -> None:
    """Prints the table, and the damages that must not be below it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=2000, help="a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the names of the formats")
    arguments = parser.parse_args()
    print(f"format | {' | '.join(OUTCOMES)} | CPU seconds", flush=True)
    print("--- | " * len(OUTCOMES) + "--- | ---", flush=True)
    details = []
    for of in FORMATS:
        if arguments.only not in of.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            instance = Instance(of, pathlib.Path(folder))
            found, wrong = instance.outcomes(arguments.mutations, arguments.seed)
            seconds = time.process_time() - began
        counts = " | ".join(str(found[outcome]) for outcome in OUTCOMES)
        print(f"{of.name} | {counts} | {seconds:.1f}", flush=True)
        details += [f"{of.name}, {line}" for line in wrong]
    print("\n".join(["", *details]))


if __name__ == "__main__":
    main()
