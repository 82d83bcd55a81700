"""The cast and small makers of valid values, so that each test says only what it is about."""

from marketplace.core.facts import Border, Deployment
from marketplace.core.offer import Offer
from marketplace.core.terms import Terms, Use
from provenance.core.caip import Account, Asset, AssetKind
from provenance.core.digest import Sha256

CHAIN = 31337
REGISTRY = "0x" + "01" * 20
MARKET = "0x" + "02" * 20
TUSD = "0x" + "03" * 20
ADA = "0x" + "a0" * 20
BEN = "0x" + "b0" * 20
CLEO = "0x" + "c0" * 20
DORA = "0x" + "d0" * 20
MALLORY = "0x" + "e0" * 20
OPERATOR = "0x" + "f0" * 20
DEPLOYMENT = Deployment(CHAIN, REGISTRY, MARKET)


def account(address):
    return str(Account(CHAIN, address))


def dataset(number):
    return Asset(AssetKind.DATASET, CHAIN, REGISTRY, number)


def license_of(number):
    return Asset(AssetKind.LICENSE, CHAIN, MARKET, number)


TOKEN = Asset(AssetKind.TOKEN, CHAIN, TUSD)


def digest(text):
    return Sha256.of(text.encode())


def tx(number):
    return f"0x{number:064x}"


def border(block, time=None):
    return Border(block, f"0x{block:064x}", block * 12 if time is None else time)


def terms(**changes):
    return Terms(**({"title": "Terms", "text": "All of it.", "uses": frozenset({Use.PRETRAIN})} | changes))


def offer(of_terms, **changes):
    return Offer(
        **(
            {
                "dataset": dataset(12),
                "version": 1,
                "manifest": digest("manifest"),
                "terms": of_terms.digest,
                "price": 240_000_000,
                "token": TOKEN,
                "fee_bps": 250,
                "hold_seconds": 604_800,
                "nonce": 7,
            }
            | changes
        )
    )
