"""Tables of the documentation whose rows name tests, read by those who check that every row and every test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`([\w/.]+\.(?:py|t\.sol))::(\w+)`")


def page(name: str) -> str:
    """Return a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def rows(text: str, title: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    part = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_nothing_but_tests(cell: str) -> bool:
    """Say whether a cell is a list of tests and nothing else."""
    return bool(NAMED.search(cell)) and not NAMED.sub("", cell).strip(", ")


def is_there(file: str, name: str) -> bool:
    """Say whether a named test is defined: Python below tests/, Solidity below contracts/test/."""
    if file.endswith(".t.sol"):
        source, defined = ROOT / "contracts" / "test" / file, rf"^    function {name}\("
    else:
        source, defined = ROOT / "tests" / file, rf"^def {name}\("
    return source.is_file() and re.search(defined, source.read_text(encoding="utf-8"), re.MULTILINE) is not None
