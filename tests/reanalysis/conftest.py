import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def hess_folder():
    """Folder of the H.E.S.S. public data, or a skip that says how to get it."""
    folder = Path(os.environ.get("ASTROML_KIT_DATA", "")) / "hess-dl3-dr1"
    if not os.environ.get("ASTROML_KIT_DATA") or not folder.is_dir():
        pytest.skip("needs hess-dl3-dr1: set ASTROML_KIT_DATA to the folder that holds it")
    return folder
