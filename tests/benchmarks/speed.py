"""The older name of `python -m tests.benchmarks`, with the same options.

python tests/benchmarks/speed.py [--threads 2] [--rounds 7] [--only LeNet]
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)  # not this folder
    from tests.benchmarks.options import parsed

    OPTIONS = parsed()  # before NumPy is imported

    from tests.benchmarks.command import main

    sys.exit(main(OPTIONS))
