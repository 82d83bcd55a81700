"""Write the pinned requirement files from the lists in pyproject.toml and what is installed here.

1. Read the three lists: what runs, what the demo story takes its data from, what checks the code.
2. Follow each package's own requirements through the installed metadata, with the extras that were asked for.
3. Write one file per list, each without what an earlier one already names.

A package that is named but not installed stops the run, so a file never holds less than it claims.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "run": ("requirements.txt", "What Cadastre needs to run."),
    "demo": ("requirements-demo.txt", "Packages whose shipped data the demo story uses."),
    "dev": ("requirements-dev.txt", "What tests, checks and benches need on top."),
}


def closure(wanted: list[str]) -> dict[str, str]:
    """Pinned lines by canonical name for `wanted` and everything it needs on this interpreter."""
    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    queue = [Requirement(text) for text in wanted]
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        try:
            installed = distribution(requirement.name)
        except PackageNotFoundError:
            sys.exit(f"{requirement} is listed but not installed: run `pip install '{requirement}'` first")
        if not requirement.specifier.contains(installed.version, prereleases=True):
            sys.exit(f"{requirement} is listed but {installed.version} is installed")
        pins[name] = f"{installed.metadata['Name']}=={installed.version}"
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in installed.requires or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    queue.append(needed)
    return pins


def main() -> None:
    """Write the three files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"run": project["dependencies"], **project["optional-dependencies"]}
    written: set[str] = set()
    for key, (filename, title) in FILES.items():
        pins = closure(lists[key])
        lines = [pins[name] for name in sorted(pins) if name not in written]
        written |= set(pins)
        (ROOT / filename).write_text(
            f"# {title} Written by `make lock` from pyproject.toml.\n" + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    main()
