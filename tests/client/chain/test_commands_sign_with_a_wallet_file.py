"""`--wallet` from the command line to a real chain and back; and a wallet that signs nothing but what was wanted."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from eth_account import Account as EthAccount

from cadastre import Client, Wallet
from cadastre.commands import wallet as wallet_commands
from cadastre.console import Console
from cadastre.wallet import WalletRefusal
from marketplace.actions.api_keys import create_api_key
from marketplace.actions.quotes import make_private_offer
from marketplace.api.names import id_of
from marketplace.models import Draft, LicenseRow, Listing, Order, VoucherRow
from marketplace.queries.actors import Actor
from provenance.adapters.http_api import ApiRefusal
from provenance.adapters.wallet_file import open_wallet
from provenance.core.canonical import document_digest
from provenance.core.entry import rights_attestation
from provenance.core.registration import PackageKind, Parent, Registration, registry_domain
from provenance.models import DatasetRecord
from provenance.ports import KeyRefusal
from tests.trade.register import RECIPIENT, Register, terms
from tests.trade.test_a_draft_becomes_a_listing import CSV, Workshop
from tests.trade.test_use_is_reported_and_charged import RATE
from tests.trade.wallets import STRANGER, WALLET, address, fund, signed

PRICE = 240_000_000
PHRASE = "kelp and wrack"


@pytest.fixture(autouse=True)
def by_the_clock(request: pytest.FixtureRequest) -> None:
    """Requests are judged by the clock on the wall, the chain has its own: let both say about the same."""
    if "register" in request.fixturenames:
        register = request.getfixturevalue("register")
        behind = int(timezone.now().timestamp() - register.now.timestamp())
        if behind > 0:
            register.world.development.advance(behind)


@pytest.fixture
def keyfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "wallet.json"
    path.write_text(json.dumps(EthAccount.encrypt(WALLET.key, PHRASE, kdf="pbkdf2", iterations=10)))
    monkeypatch.setenv("CADASTRE_WALLET_PASSPHRASE", PHRASE)
    return path


@pytest.fixture
def meanwhile(register: Register, monkeypatch: pytest.MonkeyPatch):
    """While a command waits, the register works: both run in this one thread."""
    works: list[Any] = []

    def work(*_: object) -> None:
        register.run()
        for each in works:
            each()

    monkeypatch.setattr("cadastre.client.WAIT", {"Prefer": "wait=1"})
    monkeypatch.setattr(Console, "progress", work)
    monkeypatch.setattr("time.sleep", work)
    monkeypatch.setattr(wallet_commands, "QUIET_ROUNDS", 2)
    return works


def program(actor: Actor, monkeypatch: pytest.MonkeyPatch, live_server) -> str:
    key = create_api_key(by=actor, name="agent", scopes=("read", "publish", "buy", "use"), days=30, now=timezone.now())[
        1
    ]
    monkeypatch.setenv("CADASTRE_API_KEY", key)
    monkeypatch.setenv("CADASTRE_SITE", live_server.url)
    return key


@pytest.mark.django_db(transaction=True)
def test_buy_and_report_with_a_wallet(
    register: Register, ada, cleo, run, keyfile, meanwhile, monkeypatch, live_server, tmp_path
):
    listing = register.publish(ada, price=PRICE, with_terms=terms(rate=RATE, report_use=True))
    fund(register, PRICE + 8_000_000)
    program(cleo, monkeypatch, live_server)
    dataset = id_of(listing.pk)
    monkeypatch.setattr(Client, "bundle", lambda *_a, **_k: b"{}")  # bundles have tests of their own
    said = run("buy", dataset, "--wallet", keyfile, "--recipient", RECIPIENT, "--out", tmp_path / "b.json", "--json")
    assert said.code == 0, said.err
    order = said.json()
    assert (order["state"], order["payer"], order["licensee"]) == ("final", address(), address())
    again = run("buy", dataset, "--wallet", keyfile, "--recipient", RECIPIENT, "--out", tmp_path / "b.json", "--json")
    assert again.json()["id"] == order["id"]
    assert Order.objects.count() == LicenseRow.objects.count() == 1
    day = register.now.date().isoformat()
    words = ["--use", "fine-tune", "--quantity", "5000", "--from", day, "--to", day, "--model", "m", "--run", "r"]
    used = run("report-usage", order["license"], *words, "--wallet", keyfile, "--json")
    assert used.code == 0, used.err
    assert sorted(used.json()["signed"]) == ["deposit", "voucher"]
    register.run()
    assert VoucherRow.objects.get().state == VoucherRow.State.CHARGED
    listed = run("wallet", "list")
    assert listed.out.strip() == f"{address()}  signs where it is named"


@pytest.mark.django_db(transaction=True)
def test_a_wallet_pays_an_offer_that_was_made_to_its_account_alone(
    register: Register, ada, cleo, mallory, run, keyfile, meanwhile, monkeypatch, live_server, tmp_path
):
    listing = register.publish(ada, price=PRICE)
    made = make_private_offer(
        by=ada, dataset=listing.pk, buyer="cleo", terms=terms(), price=7_000_000, hold_seconds=0, now=register.now
    )
    fund(register, 7_000_000)
    register.run()
    monkeypatch.setattr(Client, "bundle", lambda *_a, **_k: b"{}")  # bundles have tests of their own
    program(cleo, monkeypatch, live_server)
    (offered,) = run("offers", "--json").json()["private"]
    assert (offered["id"], offered["dataset"]) == (str(made.pk), id_of(listing.pk))
    words = ["buy", id_of(listing.pk), "--quote", made.pk, "--recipient", RECIPIENT, "--out", tmp_path / "b.json"]
    said = run(*words, "--wallet", keyfile, "--json")
    assert said.code == 0, said.err
    order = said.json()
    assert (order["state"], order["payer"], order["total"]["amount"]) == ("final", address(), "7000000")
    assert order["licensee"] != address(), "the offer names a fresh address of the account's"
    assert run(*words, "--wallet", keyfile, "--json").json()["id"] == order["id"]
    assert Order.objects.count() == LicenseRow.objects.count() == 1
    program(mallory, monkeypatch, live_server)
    refused = run(*words)
    assert (refused.code, "There is no such quote" in refused.err) == (1, True)


@pytest.mark.django_db(transaction=True)
def test_a_wallet_pays_no_other_price_than_the_one_that_was_shown(
    register: Register, ada, cleo, run, keyfile, meanwhile, monkeypatch, live_server, tmp_path
):
    listing = register.publish(ada, price=PRICE)
    fund(register, PRICE)
    program(cleo, monkeypatch, live_server)
    honest = Client.quote

    def cheap(client: Client, dataset: str, **chosen: Any) -> Any:
        quote = honest(client, dataset, **chosen)
        return {**quote, "total": {**quote["total"], "amount": "1", "text": "0.000001 TUSD"}}

    monkeypatch.setattr(Client, "quote", cheap)
    said = run("buy", id_of(listing.pk), "--wallet", keyfile, "--recipient", RECIPIENT, "--out", tmp_path / "b.json")
    assert (said.code, "costs 240000000 base units, not 1. The wallet did not sign" in said.err) == (1, True), said.err
    assert Order.objects.get().state == Order.State.SIGNING
    assert register.on_chain(address()) == PRICE


@pytest.mark.django_db(transaction=True)
def test_publish_with_a_wallet(shop: Workshop, ada, run, keyfile, meanwhile, monkeypatch, live_server, tmp_path):
    shop.register.sign()
    meanwhile.append(lambda: [shop.work(draft) for draft in Draft.objects.exclude(submission=None)])
    program(ada, monkeypatch, live_server)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "streets.csv").write_bytes(CSV)
    words = ["--title", "Streets", "--creator", "Ada", "--rights", "own-work", "--preset", "train-commercial"]
    words += ["--price", "5.00", "--yes"]
    refused = run("publish", tmp_path / "data", *words, "--wallet", tmp_path / "none.json")
    assert (refused.code, "is not an Ethereum keystore file" in refused.err) == (1, True)
    said = run("publish", tmp_path / "data", *words, "--wallet", keyfile, "--json")
    assert said.code == 0, said.err
    shop.register.run()
    assert DatasetRecord.objects.get().owner == address()
    listing = Listing.objects.select_related("offer").get()
    assert (listing.state, listing.offer.price) == ("listed", 5_000_000)


def test_a_wallet_agrees_to_no_larger_share_of_the_parents_than_the_review_showed():
    pins = {"deployment": {"chain": 31337, "registry": address(STRANGER), "market": "0x" + "22" * 20}}
    manifest, package = {"title": "Streets"}, {"kind": "sealed"}

    def review(*, shown: int, asked: int) -> dict[str, Any]:
        registration = Registration(
            owner=address(), manifest=document_digest(manifest), package=document_digest(package),
            kind=PackageKind.SEALED, open_derive=False, derive_bps=0, splits=None, parents=(Parent(1),),
            max_stack_bps=asked, deadline=9,
        )  # fmt: skip
        domain = registry_domain(31337, address(STRANGER))
        rights = rights_attestation(domain, address(), registration.manifest)
        wanted = {"deadline": 9, "owner": address(), "derivations": [], "attestation": rights.to_json()}
        return {
            "public": {"manifest": manifest, "package": package, "max_stack_bps": shown},
            "wallet": {**wanted, "registration": registration.typed_data(domain).to_json()},
        }

    asked: list[Any] = []
    wallet = Wallet(address(), lambda typed: asked.append(typed) or signed(typed), pins)  # type: ignore[func-returns-value]
    with pytest.raises(WalletRefusal) as refused:
        wallet.sign_registration(review(shown=500, asked=501))
    assert (refused.value.limit, refused.value.actual, asked) == ("500", "501", [])
    assert wallet.sign_registration(review(shown=500, asked=500))["registration"].startswith("0x")


def test_a_wrong_passphrase_and_a_broken_file_open_nothing(keyfile: Path, tmp_path: Path):
    assert open_wallet(keyfile, PHRASE).address == address()
    assert WALLET.key.hex().removeprefix("0x") not in repr(open_wallet(keyfile, PHRASE))
    with pytest.raises(KeyRefusal) as refused:
        open_wallet(keyfile, "wrong")
    assert refused.value.code == "wallet.passphrase"
    for text, code in (("no json", "wallet.file"), ("{}", "wallet.file"), ('{"version": 1}', "wallet.version")):
        broken = tmp_path / "broken.json"
        broken.write_text(text)
        with pytest.raises(KeyRefusal) as refused:
            open_wallet(broken, PHRASE)
        assert refused.value.code == code


@pytest.mark.django_db(transaction=True)
def test_a_wallet_signs_no_other_payment_than_the_one_that_was_quoted(
    register: Register, ada, cleo, monkeypatch, live_server
):
    listing = register.publish(ada, price=PRICE)
    with Client(live_server.url, api_key=program(cleo, monkeypatch, live_server)) as client:
        seen: list[Any] = []
        wallet = Wallet(address(), lambda typed: seen.append(typed) or signed(typed), client.deployment())
        client.connect(wallet)
        seen.clear()
        wish = {"offer": listing.offer_id, "recipient": RECIPIENT, "payer": address()}
        order = client.post("/orders", wish, key="k")
        register.run()
        order = client.order(order["id"])
        (offer,) = client.offers(id_of(listing.pk))
        lies = {
            "value": ("message", "value", str(PRICE + 1)),
            "receiver": ("message", "to", address(STRANGER)),
            "nonce": ("message", "nonce", "0x" + "11" * 32),
            "payer": ("message", "from", address(STRANGER)),
            "chain": ("domain", "chainId", 1),
            "token": ("domain", "verifyingContract", "0x" + "12" * 20),
        }
        for part, name, value in lies.values():
            lie = copy.deepcopy(order)
            lie["signature"]["typed_data"][part][name] = value
            with pytest.raises(WalletRefusal):
                wallet.sign_payment(lie, offer, price=PRICE)
        plain = copy.deepcopy(order)
        plain["signature"]["typed_data"]["primaryType"] = "TransferWithAuthorization"
        with pytest.raises(WalletRefusal):
            wallet.sign_payment(plain, offer, price=PRICE)
        with pytest.raises(WalletRefusal):
            wallet.sign_payment({**order, "licensee": address(STRANGER)}, offer, price=PRICE)
        with pytest.raises(WalletRefusal):
            wallet.sign_payment(order, offer, price=PRICE - 1)
        with pytest.raises(WalletRefusal):
            wallet.sign("offer", order["signature"]["typed_data"])
        assert seen == [], "the key was never asked"
        client.give_signature(order["signature"]["id"], wallet.sign_payment(order, offer, price=PRICE))
        with pytest.raises(ApiRefusal) as refused:
            client.give_signature(order["signature"]["id"], signed(order["signature"]["typed_data"], STRANGER))
        assert refused.value.status == 409
