"""What the supervisor tells each part about the key file, however the operator has told it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from marketplace.management import supervisor as module
from marketplace.management.supervisor import Supervisor
from provenance.adapters import local_node

NAMES = ("CADASTRE_KEY_PASSPHRASE", "CADASTRE_KEY_PASSPHRASE_FILE")


@pytest.mark.parametrize("given", NAMES)
def test_no_part_but_the_signer_inherits_the_passphrase_or_the_file_that_holds_it(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(given, "a horse and a battery")
    told: dict[str, Any] = {}
    monkeypatch.setattr(module, "start_process", lambda name, *_, environment, **__: told.update({name: environment}))
    supervisor = Supervisor(port=1, say=print, var=tmp_path)
    for name, command in supervisor._programs().items():
        supervisor._keep(name, command)
    assert set(told) == {"web", "worker", "signer", "beat"}
    assert not set(told.pop("signer")) & set(NAMES)
    for environment in told.values():
        assert [environment[name] for name in NAMES] == ["", ""]


def test_programs_of_others_are_told_none_of_our_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = dict.fromkeys((*NAMES, "CADASTRE_SECRET_KEY", "DATABASE_URL"), "a horse and a battery")
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    told: list[dict[str, str]] = []

    def start(*_: Any, environment: dict[str, str], **__: Any) -> None:
        told.append(environment)

    monkeypatch.setattr(local_node, "start_process", start)
    monkeypatch.setattr(local_node, "find_anvil", lambda: Path("anvil"))
    local_node.start_anvil(log=tmp_path / "log")
    assert [told[0][name] for name in secrets] == [""] * len(secrets)
