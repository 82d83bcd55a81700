"""What the pages for builders tell programs to do, done: the lines of docs/api.md by a shell, and the example."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cadastre.client import Client
from cadastre.folder import files_of
from marketplace.management.story.data import Sources
from tests.faults.instance import ROOT, until
from tests.journey.conftest import Town
from tests.journey.goods import METERED, prose, published
from tests.services.presence import missing

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Goods:
    """What is for sale, and a key of somebody who can pay for it."""

    title: str
    folder: Path
    key: str
    client: Client

    @property
    def words(self) -> str:
        return self.title.split()[0].lower()

    def are_in(self, folder: Path) -> bool:
        def digests(where: Path) -> dict[str, str]:
            return {file.path: hashlib.sha256(file.location.read_bytes()).hexdigest() for file in files_of(where)}

        return digests(folder) == digests(self.folder)

    def licenses(self) -> int:
        return len(list(self.client.every("/licenses")))


@pytest.fixture
def sold(town: Town, sources: Sources, folder: Path) -> Iterator[Callable[[str, int], Goods]]:
    opened = ExitStack()

    def sell(title: str, number: int) -> Goods:
        ada, cleo = town.newcomer(), town.newcomer()
        texts = prose(sources, number, folder / "texts")
        dataset = published(ada, texts, title=title, rate=METERED, preset="train-commercial")
        cleo.draw(20_000_000, key="for the docs")
        until("play money", lambda: cleo.balance() == 20_000_000)
        client = opened.enter_context(cleo.client())
        # What the verifier requires: a log this young may not have been anchored even once.
        until("an anchor", lambda: json.loads(client.trail(dataset))["anchors"])
        return Goods(title, texts, client.connection._http.headers["Authorization"].removeprefix("Bearer "), client)

    with opened:
        yield sell


def test_the_walk_through_of_the_api_page_runs_as_it_is_written(
    town: Town, sold: Callable[[str, int], Goods], folder: Path
) -> None:
    for tool in ("curl", "age-keygen"):
        if shutil.which(tool) is None:
            missing(tool, f"install Debian's package `{tool.removesuffix('-keygen')}`")
    goods = sold("Walkthrough topics of a language", 6)
    lines = "set -euo pipefail\n" + "\n".join(BLOCK.findall((ROOT / "docs" / "api.md").read_text()))
    where = folder / "shell"
    where.mkdir()
    environment = {
        "PATH": f"{ROOT / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(where),
        "SITE": town.url, "KEY": goods.key, "WORDS": goods.words,
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", lines], cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("You may", "12.00 tUSD", "Everything that must hold, holds.", "0.02 tUSD"):
        assert said in done.stdout
    assert goods.are_in(where / "data")
    again = subprocess.run(
        ["bash", "-c", lines], cwd=where, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode != 0, "one idempotency key and another quote is refused"
    assert "idempotency" in (where / "order.json").read_text()
    assert goods.licenses() == 1


def test_the_example_licenses_trains_and_reports_and_goes_on_when_it_is_run_again(
    town: Town, sold: Callable[[str, int], Goods], folder: Path
) -> None:
    goods = sold("Exemplary topics of a language", 8)
    command = [sys.executable, str(ROOT / "examples" / "license_and_train.py"), "--site", town.url, goods.words]
    environment = {"PATH": os.environ["PATH"], "CADASTRE_API_KEY": goods.key}
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "every hash checked" in done.stdout
        assert "Reported" in done.stdout
    assert goods.are_in(folder / "training" / "data")
    assert goods.licenses() == 1
    assert len(list(goods.client.every("/usage"))) == 1
    refused = subprocess.run(
        [*command, "--most", "1"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "at most 1 base units" in refused.stderr
