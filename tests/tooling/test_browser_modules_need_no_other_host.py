"""tools/vendor.py: what pages load is complete and refers to nothing outside."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BARE = re.compile(r"""^\s*(?:import|export)\b[^"';]*?\bfrom\s*["'](?![./])""", re.MULTILINE)


@pytest.fixture(scope="module")
def vendor() -> Path:
    if not (ROOT / "static" / "vendor").is_dir():
        subprocess.run([sys.executable, ROOT / "tools" / "vendor.py"], check=True)
    return ROOT / "static" / "vendor"


def test_each_library_comes_with_its_license(vendor: Path) -> None:
    without = [folder.name for folder in vendor.iterdir() if folder.name != "age" and not [*folder.glob("LICEN*")]]
    assert without == []


def test_modules_of_age_name_files_only(vendor: Path) -> None:
    modules = sorted((vendor / "age").rglob("*.js"))
    assert modules
    assert [module.name for module in modules if BARE.search(module.read_text())] == []


def test_fonts_that_the_style_sheet_names_are_there(vendor: Path) -> None:
    named = re.findall(r"\.\./vendor/([^\"]+)", (ROOT / "static" / "css" / "fonts.css").read_text())
    assert named
    assert [name for name in named if not (vendor / name).is_file()] == []
