"""Requirement and lock files: everything pinned, nothing said about where it came from."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PINNED = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+")


def pins(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-slither.txt"]
)
def test_each_line_pins_one_version_and_names_no_address(name: str) -> None:
    assert pins(name)
    assert [line for line in pins(name) if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-demo.txt", "requirements-dev.txt"])
def test_what_runs_here_is_what_is_pinned(name: str) -> None:
    pinned = dict(line.split("==") for line in pins(name))
    assert {package: version(package) for package in pinned} == pinned


def test_the_lock_of_node_packages_has_integrity_but_no_address() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    installed = {name: entry for name, entry in packages.items() if name}
    assert not [name for name, entry in installed.items() if "resolved" in entry]
    # Builds for other systems are optional; npm fetches their integrity where they are wanted.
    assert not [name for name, entry in installed.items() if "integrity" not in entry and not entry.get("optional")]


def test_direct_node_packages_are_pinned_to_one_version() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    wanted = package["dependencies"] | package["devDependencies"]
    assert [name for name, text in wanted.items() if not re.fullmatch(r"\d+\.\d+\.\d+", text)] == []
