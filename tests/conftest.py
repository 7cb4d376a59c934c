"""One thread per process: the tests run in several processes beside each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
