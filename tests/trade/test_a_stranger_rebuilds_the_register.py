"""Promise 10: from chain and content stores alone the public register comes back, without keys, accounts, database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from marketplace import alarms, journal
from marketplace.actions.listings import DelistReason, delist_dataset
from marketplace.actions.takedowns import withhold_dataset
from marketplace.api.money import _token
from marketplace.core.terms import Use
from marketplace.models import Account, LicenseRow, Listing, OfferRow, PaidTotal, PayoutRow, SettlementRow
from marketplace.queries.pins import deployment_document
from marketplace.rebuilding.settlements import put_up_settlements, settlement_documents
from provenance import append_only, bootstrap
from provenance.anchoring import anchor_due
from provenance.core.canonical import canonical_bytes
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.models import ChainEvent, ContentAct, Deployment, Document, ParentEdge
from provenance.queries import log_state
from provenance.rebuild import rebuild_documents
from tests.trade.register import Register, terms
from tests.trade.test_an_epoch_pays_everybody_once import close

pytestmark = pytest.mark.django_db

# What a person chose and told nobody but the register: it is gone with it.
CHOSEN = {"name", "account"}
MOMENTS = {"created", "changed"}


@pytest.fixture
def running(register: Register, tmp_path: Path, settings: Settings) -> Iterator[Register]:
    settings.CADASTRE_BLOCK_DIR = tmp_path / "blocks"
    settings.CADASTRE_STORE, settings.CADASTRE_COPIES = "local", 1
    settings.CADASTRE_ANCHOR_SECONDS = 0
    # As a deployment writes it down; the fixture of the chain's own tests says it in other letters.
    Deployment.objects.update(
        tokens=[bootstrap.token_entry(register.deployment.chain_id, register.world.deployed.token)]
    )
    register.deployment.refresh_from_db()
    _token.cache_clear()
    yield register
    bootstrap._local_stores.cache_clear()
    _token.cache_clear()


@pytest.fixture
def pins(running: Register, ada: Any, ben: Any, cleo: Any, mallory: Any, tmp_path: Path) -> Path:
    """A register with a history, all public documents in its store, its log anchored; returns the file of its pins."""
    parent = running.publish(ada, with_manifest=True, title="Photographs of Delft")
    order = running.buy_funded(ben, parent)
    built_on = {
        "dataset": int(parent.pk.rpartition("/")[2]), "license": int(order.license.rpartition("/")[2]), "source": 0,
        "derivation": {"signer": f"licensee/{order.pk}"},
    }  # fmt: skip
    wider = replace(terms(derive_bps=500), uses=frozenset({Use.FINE_TUNE, Use.RETRIEVE}))
    child = running.publish(
        ben, with_manifest=True, title="Faces in Delft", price=100_000_000, with_terms=wider, parents=[built_on]
    )
    running.buy_funded(cleo, child)
    ended = running.publish(ada, with_manifest=True, title="Canals")
    delist_dataset(by=ada, dataset=ended.pk, reason=DelistReason.QUALITY, now=running.now)
    stopped = running.publish(mallory, with_manifest=True, title="My own pictures")
    withhold_dataset(by=mallory, dataset=stopped.pk, reason="rights-claim", now=running.now)
    running.run()
    close(running)
    assert anchor_due(running.deployment, running.now) is not None
    running.run()
    store = bootstrap.content_store()
    for row in Document.objects.filter(public=True):
        store.put_block(Cid.of_digest(Sha256.from_hex(row.pk)), row.content)
    path = tmp_path / "pins.json"
    path.write_text(json.dumps(deployment_document()))
    return path


def lose_everything() -> None:
    append_only.remove(connection)
    for app in ("provenance", "marketplace", "account"):
        for model in apps.get_app_config(app).get_models():
            rows = model._base_manager.all()
            rows._raw_delete(rows.db)
    append_only.install(connection)


def seen(client: Client, path: str) -> Any:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def public(found: Any) -> Any:
    """An answer without what only the register knew."""
    if isinstance(found, list):
        return [public(each) for each in found]
    if isinstance(found, dict):
        return {key: public(value) for key, value in found.items() if key not in CHOSEN | MOMENTS}
    return found


def catalogue(client: Client) -> dict[str, Any]:
    # The log tells time in whole seconds: which of two listings of one second is the newer one is not in it.
    datasets = sorted(seen(client, "/datasets")["results"], key=itemgetter("id"))
    ids = [row["id"] for row in datasets]
    shown = [seen(client, f"/datasets/{name}{rest}") for name in ids for rest in ("", "/offers", "/lineage")]
    return {"datasets": public(datasets), "details": public(shown), "settlements": seen(client, "/settlements")}


def licenses() -> list[tuple[Any, ...]]:
    rows = LicenseRow.objects.order_by("pk").values_list(
        "pk", "dataset", "version", "offer", "terms", "price", "fee", "licensee", "uses", "start", "state", "final",
        "certificate", "charged",
    )  # fmt: skip
    return [tuple(row) for row in rows]


def balances() -> dict[str, Any]:
    return {
        "payouts": sorted(PayoutRow.objects.values_list("payee", "address", "amount", "cumulative", "state", "tx")),
        "paid": sorted(PaidTotal.objects.values_list("token", "payee", "paid")),
        "market": {pot: journal.pot_balance(pot, token) for pot in journal.MARKET_POTS for token in _tokens()},
    }


def _tokens() -> set[str]:
    return set(SettlementRow.objects.values_list("token", flat=True))


def test_catalogue_lineage_licenses_balances_and_log_come_back(
    running: Register, pins: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, sold, paid = catalogue(client), licenses(), balances()
    head, edges = log_state().checkpoint, list(ParentEdge.objects.values_list("child", "parent", "bps", "license"))
    states = set(Listing.objects.values_list("title", "state", "reason"))
    assert len(states) == 4
    lose_everything()
    assert seen(client, "/datasets")["results"] == []
    call_command("rebuild", pins=pins)
    assert "4 datasets put up" in capsys.readouterr().out
    assert catalogue(client) == shown
    assert licenses() == sold
    assert balances() == paid
    assert log_state().checkpoint == head
    assert list(ParentEdge.objects.values_list("child", "parent", "bps", "license")) == edges
    assert set(Listing.objects.values_list("title", "state", "reason")) == states
    assert ContentAct.objects.get().reason == "rights-claim"
    assert journal.differences() == []
    assert journal.market_total(running.token) == running.on_chain(running.deployment.market)
    assert not alarms.open_alarms("payouts.")


def test_what_is_for_sale_can_be_bought_from_whoever_rebuilt(running: Register, pins: Path) -> None:
    signed = dict(OfferRow.objects.values_list("digest", "signature"))
    lose_everything()
    call_command("rebuild", pins=pins)
    assert dict(OfferRow.objects.values_list("digest", "signature")) == signed
    live = OfferRow.objects.get(listings__title="Faces in Delft")
    assert (live.state, live.price, live.sold) == (OfferRow.State.LIVE, 100_000_000, 1)
    assert Deployment.objects.get().tokens == [
        {"name": "TestUSD", "address": running.world.deployed.token, "symbol": "tUSD", "decimals": 6}
    ]


def test_owners_stand_under_their_addresses_and_nobody_can_act_for_them(
    running: Register, pins: Path, ada: Any, client: Client
) -> None:
    address = running.owner_address(ada)
    lose_everything()
    call_command("rebuild", pins=pins)
    owner = Account.objects.get(slug=address.removeprefix("0x"))
    assert not owner.memberships.exists()
    assert {row.title for row in owner.listings.all()} == {"Photographs of Delft", "Canals"}
    found = seen(client, f"/datasets?name={owner.slug}/photographs-of-delft")["results"]
    assert [row["title"] for row in found] == ["Photographs of Delft"]


def test_rebuilding_twice_changes_nothing(running: Register, pins: Path, client: Client) -> None:
    lose_everything()
    call_command("rebuild", pins=pins)
    first = catalogue(client), licenses(), balances()
    call_command("rebuild", pins=pins)
    assert (catalogue(client), licenses(), balances()) == first


def test_a_register_that_lost_nothing_is_read_again_and_stays_as_it_was(
    running: Register, pins: Path, client: Client
) -> None:
    before = seen(client, "/datasets"), catalogue(client), licenses(), balances()
    call_command("rebuild")
    assert (seen(client, "/datasets"), catalogue(client), licenses(), balances()) == before
    running.check_books()


def test_documents_that_are_nowhere_are_counted_and_what_they_said_is_left_out(
    running: Register, pins: Path, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = seen(client, f"/datasets/{seen(client, '/datasets?q=faces')['results'][0]['id']}")["manifest"]
    lose_everything()
    bootstrap.content_store().delete([Cid.of_digest(Sha256.from_hex(manifest))])
    call_command("rebuild", pins=pins)
    assert "3 datasets put up" in capsys.readouterr().out
    assert [row["title"] for row in seen(client, "/datasets")["results"]] == ["Photographs of Delft"]


@pytest.mark.parametrize(
    "index",
    [
        {"schema": "cadastre.settlement/1", "shards": [7]},
        {"schema": "cadastre.settlement/1", "shards": [{"sha256": 7}]},
        {"schema": "cadastre.settlement/1"}, {"schema": "x\x00" * 40, "shards": []}, [], "cadastre.settlement/1",
    ],
)  # fmt: skip
def test_a_proposal_of_nonsense_stops_no_rebuild(running: Register, index: Any, client: Client) -> None:
    data = canonical_bytes(index)
    bootstrap.content_store().put_block(Cid.of_digest(Sha256.of(data)), data)
    named = {"manifest": "0x" + Sha256.of(data).hex, "settlement": "0x" + Sha256.of(data).hex}
    ChainEvent.objects.create(
        deployment=running.deployment, block_number=1, block_hash="0x" + "1" * 64, block_time=1, tx="0x" + "2" * 64,
        log_index=0, contract=running.deployment.market, name="RootProposed", subject="settlement/0x/1",
        args={"token": running.world.deployed.token, "epoch": "1", "root": "0x" + "3" * 64, **named},
    )  # fmt: skip
    rebuild_documents(running.deployment, bootstrap.content_stores().values(), named=settlement_documents)
    assert put_up_settlements(running.deployment) == 0


def test_half_of_the_keys_and_pins_that_are_none_are_refused(running: Register, pins: Path, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.json"
    nonsense.write_text("[]")
    with pytest.raises(CommandError, match="api/v1/deployment"):
        call_command("rebuild", pins=nonsense)
    with pytest.raises(CommandError, match="both keys"):
        call_command("rebuild", vkey=log_state().vkey)
    with pytest.raises(CommandError, match="64 hex digits"):
        call_command("rebuild", vkey=log_state().vkey, service_key="none")
