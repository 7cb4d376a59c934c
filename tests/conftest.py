"""One thread per process, since tests run in two; what takes longest begins first."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "test_tutorials" not in item.nodeid)
