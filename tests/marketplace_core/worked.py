"""Reads the worked numbers of docs/algorithms, so that prose and code cannot drift apart."""

import re
from pathlib import Path

ALGORITHMS = Path(__file__).parents[2] / "docs" / "algorithms"


def blocks(document: str, kind: str) -> list[str]:
    """Return the fenced blocks of one kind; a document without any fails the test that asked."""
    found = re.findall(rf"```{kind}\n(.*?)```", (ALGORITHMS / document).read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{document} has no {kind} block"
    return found


def table(document: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    text = (ALGORITHMS / document).read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    head = next(number for number, row in enumerate(rows) if set("".join(row)) <= set("-|"))
    assert rows[head + 1 :], f"{heading} has no rows"
    return [[cell.strip().strip("`") for cell in row] for row in rows[head + 1 :]]


def edges(line: str) -> list[tuple[str, str, int]]:
    """Read `edges B→A 10%, C→B 5%` as (child, parent, basis points)."""
    found = re.findall(r"(\w)→(\w) ([0-9.]+)%", line)
    assert found, line
    return [(child, parent, round(float(share) * 100)) for child, parent, share in found]
