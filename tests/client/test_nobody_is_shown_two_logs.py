"""The operator signs two logs and shows each to somebody else: who compares heads learns it, and can prove it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cadastre.heads import FILE_NAME
from cadastre.profile import Profile
from tests.client.conftest import Said
from tests.client.goods import Goods
from tests.client.site import Answer, FakeSite
from tests.provenance_core.logs import Log

Run = Callable[..., Said]
ENTRIES = [b"entry %d" % number for number in range(700)]
FORKED = [*ENTRIES[:300], b"what others do not see", *ENTRIES[301:]]


def show(site: FakeSite, entries: list[bytes]) -> str:
    """Let the site show a log of these entries; return its signed head."""
    log: Any = Log(entries=entries)
    for path, data in log.files().items():
        site.on("GET", f"/log/{path}", Answer(data))
    note: str = log.note()
    site.on("GET", "/log/checkpoint", Answer(note.encode()))
    return note


@pytest.fixture
def dora(home: Path, site: FakeSite, goods: Goods) -> Profile:
    """Dora has pinned the key of the log; she has no account."""
    key: Any = Log()
    profile = Profile(home=home, site=site.url, pins={**goods.pins(), "log": {"vkey": str(key.vkey)}})
    profile.save()
    return profile


def kept(profile: Profile) -> list[str]:
    (notes,) = json.loads((profile.home / FILE_NAME).read_text()).values()
    return list(notes)


def test_a_log_that_grows_continues_what_was_seen_and_only_the_newest_head_is_kept(
    run: Run, site: FakeSite, dora: Profile
) -> None:
    assert run("log").code == 1, "there is no log yet"
    show(site, ENTRIES[:3])
    assert "It is the first head that is seen here." in run("log").out
    for size in (300, 300, 513, 700):
        note = show(site, ENTRIES[:size])
        found = run("--json", "log")
        assert (found.code, found.json()["agrees"], found.json()["size"]) == (0, True, size)
        assert kept(dora) == [note]


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (FORKED, "does not contain what was shown before"),
        (FORKED[:512], "same size and have different roots"),
        (ENTRIES[:400], "shorter than one that was shown before"),
        (FORKED[:400], "shorter than one that was shown before"),
    ],
)
def test_another_log_is_told_by_both_signed_heads_and_nothing_is_forgotten(
    run: Run, site: FakeSite, dora: Profile, then: list[bytes], words: str
) -> None:
    first = show(site, ENTRIES[:512])
    assert run("log").code == 0
    second = show(site, then)
    said = run("--json", "log")
    assert (said.code, said.json()["heads"]) == (3, [first, second])
    assert words in said.json()["reason"]
    assert kept(dora) == [first]


def test_two_people_learn_by_comparing_that_they_were_shown_different_logs(
    run: Run, site: FakeSite, dora: Profile, tmp_path: Path
) -> None:
    theirs = tmp_path / "checkpoint-of-a-colleague"
    theirs.write_text(show(site, FORKED[:650]))
    show(site, ENTRIES)
    assert run("log").code == 0, "alone she cannot know"
    assert run("log", theirs).code == 3
    theirs.write_text(show(site, ENTRIES[:650]))
    show(site, ENTRIES)
    assert run("log", theirs).code == 0


def test_tiles_that_prove_nothing_do_not_pass(run: Run, site: FakeSite, dora: Profile) -> None:
    show(site, ENTRIES[:512])
    assert run("log").code == 0
    show(site, ENTRIES)
    site.on("GET", "/log/tile/0/002.p/188", Answer(b"\0" * 32 * 188))
    assert run("log").code == 3


def test_a_head_that_another_key_signed_is_refused(run: Run, site: FakeSite, dora: Profile) -> None:
    other: Any = Log(seed=2, entries=ENTRIES)
    site.on("GET", "/log/checkpoint", Answer(other.note().encode()))
    assert run("log").code == 1
    assert not (dora.home / FILE_NAME).exists()


def test_verify_keeps_the_head_of_a_bundle_and_fails_another_one_of_its_size(
    run: Run, cleo: Profile, goods: Goods, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(goods.bundle().to_bytes())

    def step() -> dict[str, str]:
        found: dict[str, str] = run("--json", "verify", path).json()["steps"][-1]
        return found

    assert (step()["step"], step()["result"]) == ("same-log", "pass")
    (cleo.home / FILE_NAME).unlink()
    assert step()["result"] == "not checked", "nothing was seen before"
    log = goods.log
    forked: Any = Log(origin=log.origin, entries=[b"another past", *log.entries[1:]])
    stored = {str(log.vkey): [forked.note()]}
    (cleo.home / FILE_NAME).write_text(json.dumps(stored))
    assert step()["result"] == "fail"
    assert json.loads((cleo.home / FILE_NAME).read_text()) == stored
    (cleo.home / FILE_NAME).write_text("[1]")
    assert run("verify", path).code == 1
