"""From a purchase that a wallet made on chain by itself, past the register, to checked files: all by command line."""

from __future__ import annotations

import json

import pytest
from eth_account import Account as EthAccount

from marketplace.api.names import id_of
from marketplace.models import LicenseRow, OfferRow
from marketplace.queries.catalog import offer_terms, offer_value
from provenance.core.typed_data import Domain
from tests.client.chain.test_commands_sign_with_a_wallet_file import by_the_clock, keyfile, meanwhile, program
from tests.trade.test_a_draft_becomes_a_listing import CSV, Workshop, priced
from tests.trade.wallets import STRANGER, WALLET, address, fund, send

__all__ = ["by_the_clock", "keyfile", "meanwhile"]
PRICE = 5_000_000


def buy_on_chain(shop: Workshop, key=WALLET) -> None:
    """Approve and buy, with nothing but what `GET /datasets/{id}/offers` shows to everybody."""
    register = shop.register
    offer = OfferRow.objects.select_related("terms").get()
    domain = Domain("Cadastre Market", register.deployment.chain_id, register.deployment.market)
    message = offer_value(offer).typed_data(domain, offer_terms(offer)).message
    send(register, "TestUSD", "approve", register.deployment.market, PRICE, key=key)
    struct = [address(key), address(key), b"\x07" * 32, int(register.now.timestamp()) + 600]
    send(register, "Market", "buy", message, bytes.fromhex(offer.signature[2:]), struct, b"", key=key)
    register.run()


@pytest.fixture
def sold(shop: Workshop, ada) -> Workshop:
    draft = priced(shop, ada, shop.fill(ada, shop.open(ada)), price=PRICE)
    shop.confirm(ada, draft)
    shop.publish(draft)
    return shop


@pytest.mark.django_db(transaction=True)
def test_bought_on_chain_then_granted_downloaded_and_verified(
    sold: Workshop, cleo, run, keyfile, meanwhile, monkeypatch, live_server, tmp_path
):
    key = program(cleo, monkeypatch, live_server)
    (tmp_path / "key").write_text(key)
    assert run("login", "--key-file", tmp_path / "key").code == 0
    assert run("wallet", "connect", "--wallet", keyfile).code == 0
    fund(sold.register, PRICE)
    buy_on_chain(sold)
    row = LicenseRow.objects.get()
    assert (row.account, row.order, row.final) == (cleo.account, None, True)
    (license_row,) = run("licenses", "--json").json()
    assert (license_row["title"], license_row["state"], license_row["price"]["amount"]) == (
        "Streets of Delft", "active", str(PRICE),
    )  # fmt: skip
    license_id = license_row["id"]

    early = run("get", license_id, "--to", tmp_path / "data")
    assert (early.code, "cadastre grant" in early.err) == (1, True), early.err
    assert not (tmp_path / "data").exists()

    granted = run("grant", license_id, "--out", tmp_path / "bundle.json")
    assert granted.code == 0, granted.err
    got = run("get", tmp_path / "bundle.json", "--to", tmp_path / "data", "--json")
    assert (got.code, got.json()["files"]) == (0, 1), got.err
    assert (tmp_path / "data" / "streets.csv").read_bytes() == CSV
    by_id = run("get", license_id, "--to", tmp_path / "again")
    assert by_id.code == 0, by_id.err

    rpc = sold.register.world.url
    verified = run("verify", tmp_path / "bundle.json", "--rpc", rpc, "--files", tmp_path / "data", "--json").json()
    outcomes = {each["step"]: each["result"] for each in verified["steps"]}
    for step in ("license", "key-opens", "files", "license-on-chain", "price-and-fee", "offer-on-chain"):
        assert outcomes[step] == "pass", verified


@pytest.mark.django_db(transaction=True)
def test_what_somebody_elses_wallet_bought_is_not_opened(
    sold: Workshop, cleo, mallory, run, keyfile, meanwhile, monkeypatch, live_server, tmp_path
):
    program(cleo, monkeypatch, live_server)
    run("wallet", "connect", "--wallet", keyfile)
    fund(sold.register, PRICE, key=STRANGER)
    buy_on_chain(sold, key=STRANGER)
    license_id = id_of(LicenseRow.objects.get().pk)
    for actor in (cleo, mallory):
        program(actor, monkeypatch, live_server)
        assert run("licenses", "--json").json() == []
        refused = run("grant", license_id, "--out", tmp_path / "bundle.json")
        assert (refused.code, "There is no such license" in refused.err) == (1, True)
    stranger = tmp_path / "stranger.json"
    stranger.write_text(json.dumps(EthAccount.encrypt(STRANGER.key, "kelp and wrack", kdf="pbkdf2", iterations=10)))
    assert run("wallet", "connect", "--wallet", stranger).code == 0, "whoever holds the key may connect it afterwards"
    assert [row["id"] for row in run("licenses", "--json").json()] == [license_id]
