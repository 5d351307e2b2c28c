"""`python -m tests.benchmarks`."""

import sys

from .options import parsed

OPTIONS = parsed()  # before NumPy is imported: the number of threads goes to the environment

from .command import main  # noqa: E402

sys.exit(main(OPTIONS))
