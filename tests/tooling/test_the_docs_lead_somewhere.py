"""Links of README and docs lead to files and headings that are there; tables and modules are those of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(page.read_text()))
    return {each.strip().replace(" ", "-") for each in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    dead = []
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


def test_the_tables_of_the_architecture_are_the_models() -> None:
    """Every table that the page names is a model, and every model that holds something of its own is named."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text[text.index("## Tables: provenance") : text.index("## Flow of a publication")]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    models = {
        model.__name__ for app in ("provenance", "marketplace") for model in apps.get_app_config(app).get_models()
    }
    assert named == models


def test_modules_that_the_architecture_names_are_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in re.findall(r"`((?:provenance|marketplace|cadastre)/[\w/]+(?:\.py|/))`", text):
        assert (ROOT / path).exists(), path


def test_the_floors_of_the_architecture_are_those_that_are_enforced() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text[text.index("## Floors") :]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        if contract["type"] != "layers":
            continue
        container = contract["containers"][0]
        words = re.search(rf"^- `{container}`: (.*?)\.$", section, re.MULTILINE | re.DOTALL)
        assert words is not None
        told = [set(re.findall(r"\w+", floor)) for floor in words[1].split("→")]
        enforced = [set(re.findall(r"\w+", floor)) for floor in contract["layers"]]
        assert told == [floor - {"migrations"} for floor in enforced if floor != {"migrations"}]
