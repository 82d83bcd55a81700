"""Tasks of chain and log: they read what is due from the database, so that no message has to arrive, or only once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings

from marketplace.celery import app
from provenance import bootstrap, tasks
from provenance.adapters import keystore
from provenance.core.registration import registry_domain, splits_typed_data
from provenance.intake import submit_statement
from provenance.models import (
    AnchorRecord,
    Deployment,
    IntakeStatement,
    Intent,
    IntentState,
    Lane,
    SignatureRequest,
    SignatureState,
)
from provenance.ports import KeyRefusal
from provenance.queries import log_state
from provenance.signing import request_signature
from tests.chain.conftest import ETHER, Mint, World

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(tmp_path: Path, settings: Settings, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "SCRYPT_N", 2**4)
    settings.CADASTRE_KEY_FILE, settings.CADASTRE_KEY_PASSPHRASE = tmp_path / "keys/master.json", "pass"
    settings.CADASTRE_LOG_DIR, settings.CADASTRE_BLOCK_DIR = tmp_path / "log", tmp_path / "blocks"
    settings.CADASTRE_STORE, settings.CADASTRE_COPIES = "local", 1
    for path in ("lane/relayer/0", "lane/anchor"):
        world.development.fund(bootstrap.keyring().address(path), 100 * ETHER)


def _ring(task: Any) -> None:
    task.apply(throw=True)


def _tell(number: int) -> None:
    subject = "eip155:31337/erc721:0x" + "11" * 20 + "/1"
    submit_statement(
        type="listing.changed", subject=subject, fact=f"listing.changed:{subject}:{number}", time=timezone.now(),
        body={"state": "listed", "offer": None, "reason": "price"},
    )  # fmt: skip


def test_one_ring_of_the_signer_does_everything_that_is_due(mint: Mint, deployment: Deployment, tmp_path: Path) -> None:
    now: datetime = timezone.now()
    mint.want(1, now)
    _tell(1)
    party = uuid4()
    typed = splits_typed_data(
        registry_domain(deployment.chain_id, deployment.registry), dataset=1, splits=None, nonce=0, deadline=2**40
    )
    request_signature(party=party, key_path=f"owner/{party}", typed_data=typed, now=now)
    _ring(tasks.sign)
    _ring(tasks.sign)
    assert mint.minted == 1
    assert Intent.objects.get().state == IntentState.MINED
    assert SignatureRequest.objects.get().state == SignatureState.SIGNED
    assert log_state().size == log_state().published_size == 1
    assert (tmp_path / "log/checkpoint").read_text() == log_state().checkpoint


def test_the_head_is_anchored_without_a_single_message(deployment: Deployment, world: World) -> None:
    _tell(1)
    for _ in range(2):
        _ring(tasks.sign)
        _ring(tasks.anchor)
    _ring(tasks.sign)
    world.development.mine(3)
    _ring(tasks.follow)
    _ring(tasks.follow)
    _ring(tasks.sign)
    anchor = AnchorRecord.objects.get()
    assert (anchor.size, anchor.final) == (1, True)
    assert Intent.objects.get().state == IntentState.FINAL
    assert Lane.objects.get(name="anchor").next_nonce == 1
    deployment.refresh_from_db()
    assert deployment.followed_at is not None


def test_a_node_that_is_down_holds_up_nothing_but_the_chain(
    mint: Mint, deployment: Deployment, settings: Settings
) -> None:
    settings.CADASTRE_RPC_URL = "http://127.0.0.1:9"
    mint.want(1, timezone.now())
    _tell(1)
    _ring(tasks.sign)
    _ring(tasks.follow)
    _ring(tasks.anchor)
    assert log_state().size == 1
    assert Intent.objects.filter(kind="test.mint").get().state == IntentState.WANTED


def test_a_log_that_belongs_to_another_key_holds_up_nothing_but_the_log(
    mint: Mint, deployment: Deployment, settings: Settings, tmp_path: Path, world: World
) -> None:
    _tell(1)
    _ring(tasks.sign)
    settings.CADASTRE_KEY_FILE = tmp_path / "keys/other.json"
    world.development.fund(bootstrap.keyring().address("lane/relayer/0"), 100 * ETHER)
    _tell(2)
    mint.want(1, timezone.now())
    _ring(tasks.sign)
    assert mint.minted == 1
    assert IntakeStatement.objects.filter(sequenced=None).count() == 1


def test_only_the_signer_holds_keys(settings: Settings) -> None:
    settings.CADASTRE_KEY_PASSPHRASE = ""
    with pytest.raises(KeyRefusal) as refused:
        _ring(tasks.sign)
    assert refused.value.code == "key.not_the_signer"


def test_a_ring_by_name_reaches_the_process_that_holds_the_keys() -> None:
    route = {name: app.amqp.router.route({}, name)["queue"].name for name in (tasks.SIGN, tasks.FOLLOW, tasks.ANCHOR)}
    assert route == {tasks.SIGN: "signer", tasks.FOLLOW: "work", tasks.ANCHOR: "work"}
