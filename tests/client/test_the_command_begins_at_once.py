"""What happens before a command does anything: it loads little, tells its version, and ends quietly when told to."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cadastre

ROOT = Path(__file__).parents[2]
# Each takes longer to load than `cadastre --help` to answer.
HEAVY = ("httpx", "eth_keys", "eth_account", "web3", "ipfshttpclient", "numpy", "polars", "PIL", "django")


def python(*words: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{path}:{ROOT}", "PATH": "/usr/bin:/bin", "CADASTRE_HOME": "/nonexistent"}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["buy", "--help"], ["verify", "--help"], ["no-command"]])
def test_help_loads_nothing_that_takes_long(words: list[str]):
    said = python(
        "-c",
        "import sys; from cadastre.cli import main\n"
        f"try: main({words!r})\n"
        f"except SystemExit: print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])",
    )
    assert said.stdout.splitlines()[-1] == "loaded: []", said.stderr


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == cadastre.__version__
    assert python("-m", "cadastre", "--version").stdout == f"cadastre {project['version']}\n"


INTERRUPTED_WHEN_LOADING = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
"""


@pytest.mark.parametrize("name", ["cadastre.cli", "cadastre.session", "argparse"])
def test_ctrl_c_while_it_loads_ends_it_with_130_and_without_a_word(name: str, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_WHEN_LOADING.format(name=name))
    stopped = python("-m", "cadastre", "cid", str(ROOT / "README.md"), path=tmp_path)
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (130, "", "")


def test_ctrl_c_after_that_says_how_to_go_on(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_WHEN_LOADING.format(name="cadastre.fingerprints"))
    stopped = python("-m", "cadastre", "fingerprint", str(ROOT / "README.md"), path=tmp_path)
    assert (stopped.returncode, stopped.stderr) == (130, "cadastre: Stopped; run the same command to go on.\n")


def test_names_of_the_client_are_loaded_when_asked_for_and_no_others_are_there():
    assert {getattr(cadastre, name).__name__ for name in cadastre.__all__} == set(cadastre.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = cadastre.Server
