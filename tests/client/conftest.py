"""A site, a home of one's own, and the command line as a person calls it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cadastre.cli import main
from cadastre.profile import Profile
from tests.client.goods import BUYER, Goods
from tests.client.site import FakeSite


@dataclass(frozen=True)
class Said:
    """What a command did: exit code, standard output and error."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which is one JSON value and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def site() -> Iterator[FakeSite]:
    with FakeSite() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's real profile is read or written."""
    monkeypatch.setenv("CADASTRE_HOME", str(tmp_path / "home"))
    for name in ("CADASTRE_API_KEY", "CADASTRE_SITE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command in this process."""

    def call(*words: object) -> Said:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture(scope="session")
def goods() -> Goods:
    return Goods()


@pytest.fixture
def cleo(home: Path, site: FakeSite, goods: Goods) -> Profile:
    """Cleo is logged in, and her identity is the one that the grant was made for."""
    profile = Profile(home=home, site=site.url, api_key="cad_cleo", identity=str(BUYER), pins=goods.pins())
    profile.save()
    return profile


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again at once."""
    monkeypatch.setattr("provenance.adapters.http_api.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("cadastre.commands.publish.PAUSE", 0.001)
