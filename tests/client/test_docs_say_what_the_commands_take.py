import argparse
import inspect
import re
from pathlib import Path

import pytest

from cadastre.cli import NO_SITE, REFUSED, STOPPED, UNDECIDED, build_parser
from cadastre.client import Client
from cadastre.commands.verifying import EXIT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text()
COMMON = {"--site", "--json", "--quiet", "--help"}


def sections():
    parts = re.split(r"^### cadastre ([a-z-]+)$", PAGE.partition("## Python")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parsers():
    found = next(each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    return found.choices


def options_of(parser):
    return {option for action in parser._actions for option in action.option_strings if option.startswith("--")}


def tabled(section):
    """Options in the first cells of a section's table."""
    rows = re.findall(r"^\| (`--[^|]*) \|", section, flags=re.MULTILINE)
    return {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row)}


def test_every_command_has_its_section_in_the_order_of_the_help():
    assert list(sections()) == list(parsers())


@pytest.mark.parametrize("command", parsers())
def test_a_section_lists_exactly_the_options_of_its_command(command):
    assert tabled(sections()[command]) == options_of(parsers()[command]) - COMMON


@pytest.mark.parametrize("command", parsers())
def test_a_section_begins_with_a_call_that_names_what_is_required(command):
    call = re.search(r"`cadastre ([^`]*)`", sections()[command])
    parser = parsers()[command]
    words = call[1]
    assert words.split()[0] == command
    for action in parser._actions:
        if action.option_strings and action.required:
            assert action.option_strings[0] in words
        if not action.option_strings and action.nargs != "*":
            assert action.dest.upper() in words


def test_whoever_names_a_command_names_one_that_there_is():
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "templates").rglob("*.html")]
    files += [each for name in ("cadastre", "marketplace", "examples") for each in (ROOT / name).rglob("*.py")]
    # The library that templates load, the package that modules import, and the list of names that nobody may take.
    others = re.compile(r"{% load [^%]*%}|from [a-z.]*cadastre import|blog cadastre certificate")
    named = {
        word for file in files for word in re.findall(r"\bcadastre ([a-z][a-z-]+)", others.sub("", file.read_text()))
    }
    assert {"buy", "verify"} <= named <= set(parsers())


def test_options_of_every_command_are_listed():
    part = PAGE.partition("## Options of every command")[2].partition("## Exit codes")[0]
    assert tabled(part) == COMMON - {"--help"}


def test_exit_codes_are_those_of_the_program():
    part = PAGE.partition("## Exit codes")[2].partition("##")[0]
    said = {int(code) for code in re.findall(r"^\| ([0-9]+) \|", part, flags=re.MULTILINE)}
    assert said == {0, REFUSED, 2, UNDECIDED, NO_SITE, STOPPED, *EXIT.values()}


def test_the_python_example_calls_what_there_is():
    for method, keywords in re.findall(r"client\.([a-z_]+)\(([^)]*)\)", PAGE.partition("## Python")[2]):
        known = inspect.signature(getattr(Client, method)).parameters
        assert set(re.findall(r"([a-z_]+)=", keywords)) <= set(known)


def test_every_variable_of_the_environment_is_named():
    sources = "".join(path.read_text() for path in (ROOT / "cadastre").rglob("*.py"))
    for name in set(re.findall(r'"(CADASTRE_[A-Z_]+)"', sources)):
        assert f"`{name}`" in PAGE
