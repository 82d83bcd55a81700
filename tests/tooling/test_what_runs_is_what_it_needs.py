"""Each package that an installation needs is one that the program uses: what only tests compare with costs nobody."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent
BEHIND_ANOTHER = {"coincurve", "psycopg", "safe-pysha3"}
"""What a package that is used loads by itself."""


def test_every_package_that_is_installed_to_run_is_used_by_what_runs() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {canonicalize_name(Requirement(text).name) for text in wanted} - BEHIND_ANOTHER
    modules: dict[str, set[str]] = {}
    for module, distributions in packages_distributions().items():
        for name in distributions:
            modules.setdefault(canonicalize_name(name), set()).add(module)
    folders = ("provenance", "marketplace", "cadastre")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    text = "\n".join([*sources, (ROOT / "compose.yaml").read_text()])
    unused = {name for name in names if not any(re.search(rf"\b{module}\b", text) for module in modules[name])}
    assert not unused
