"""What to do when a part is not on this machine."""

import os
from typing import NoReturn

import pytest


def missing(what: str, todo: str) -> NoReturn:
    """Skip the test and name the part; where every part is required (`CADASTRE_REQUIRE=all`), fail."""
    words = f"{what} is not on this machine: {todo}"
    if os.environ.get("CADASTRE_REQUIRE") == "all":
        pytest.fail(words, pytrace=False)
    pytest.skip(words)
