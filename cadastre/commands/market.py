"""`search`, `buy`, `offers`, `order`: from finding data to a license of it."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

from cadastre.commands import AddCommand
from cadastre.commands.wallet import add_wallet_option, wallet_of
from cadastre.session import Session
from marketplace.core.terms import Use
from provenance.core.manifest import DataKind, Visibility
from provenance.core.refusal import Refusal

USES = sorted(use.value for use in Use)
SORTS = ("closest", "newest", "price", "records", "title")
KINDS = [kind.value for kind in DataKind]


class MarketRefusal(Refusal):
    """A command lacks something, or found nothing to do."""


def add_commands(add: AddCommand) -> None:
    """Add the commands of model builders."""
    search = add("search", search_datasets, "find datasets")
    search.add_argument("words", nargs="*")
    search.add_argument("--kind", choices=KINDS)
    search.add_argument("--use", choices=USES, help="only what may be used for this")
    search.add_argument("--visibility", choices=[each.value for each in Visibility])
    search.add_argument("--max-price", type=units, metavar="UNITS", help="in base units")
    search.add_argument("--sort", choices=SORTS, help="default: the closest to the words, else the newest")

    buy = add("buy", buy_license, "license a dataset")
    buy.add_argument("dataset", help="its id, or ACCOUNT/NAME")
    chosen = buy.add_mutually_exclusive_group()
    chosen.add_argument("--offer", metavar="DIGEST", help="one of its offers (default: the current one)")
    chosen.add_argument("--quote", metavar="ID", help="an offer that was made to you alone, as `offers` names it")
    buy.add_argument("--max-price", type=units, metavar="UNITS", help="refuse to pay more, in base units")
    buy.add_argument(
        "--key", help="idempotency key: the same key never buys twice (default: made from offer and --out)"
    )
    buy.add_argument("--recipient", help="age recipient to open the data for (default: yours)")
    add_wallet_option(buy, "pay from your own wallet, which then holds the license; visible on the chain")
    buy.add_argument("--fresh-licensee", action="store_true", help="let a fresh address hold what the wallet pays")
    buy.add_argument("--out", type=Path, default=Path("bundle.json"), help="where to write the license bundle")

    offers = add("offers", list_offers, "list what a dataset is sold for, and what was offered to you alone")
    offers.add_argument("dataset", nargs="?", help="its id, or ACCOUNT/NAME; without it only what was offered to you")

    order = add("order", show_order, "look at an order")
    order.add_argument("order", type=UUID, help="its id")


def units(text: str) -> str:
    """Return an amount as it was typed, if it is one in base units; argparse says so otherwise."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in base units: write 240000000 for 240.00")
    return text


def search_datasets(session: Session, options: argparse.Namespace) -> int:
    """Print what is listed."""
    found = list(
        session.client.search(
            " ".join(options.words), kind=options.kind, use=options.use, visibility=options.visibility,
            max_price=options.max_price, sort=options.sort,
        )
    )  # fmt: skip
    session.console.result(found, *([_line(row) for row in found] or [_nothing(session, " ".join(options.words))]))
    return 0


def buy_license(session: Session, options: argparse.Namespace) -> int:
    """Quote, order, wait, and keep the bundle."""
    profile = session.profile.with_identity()
    dataset = session.client.dataset(options.dataset)
    quote = _quote(session, dataset["id"], options)
    price = quote["total"]["amount"]
    if options.max_price is not None and int(price) > int(options.max_price):
        raise MarketRefusal("buy.price", "The price is higher than you allowed.", limit=options.max_price, actual=price)
    session.console.say(f"{dataset['title']}: {quote['total']['text']}. {' '.join(quote['sentences'][:2])}")
    # Made from what is bought, so that the same command after a lost reply finds the same order.
    wallet = wallet_of(session, options)
    fresh = wallet is not None and (options.fresh_licensee or quote["private"])
    how = "" if wallet is None else f":{wallet.address}:{fresh}"
    key = options.key or hashlib.sha256(f"{quote['offer']}:{options.out.resolve()}{how}".encode()).hexdigest()
    order = session.client.buy(
        quote=quote["id"] if quote["private"] else None,
        offer=quote["offer"],
        recipient=options.recipient or profile.recipient,
        key=key,
        wallet=wallet,
        fresh_licensee=fresh,
        price=int(price),
        say=lambda state: session.console.progress(f"Order {state} …"),
    )
    if order["state"] == "approval":
        session.console.result(order, f"Order {order['id']} waits for the approval of your organization.")
        return 0
    bundle = session.client.bundle(order["license"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(bundle)
    session.console.result(
        {**order, "bundle": str(options.out)},
        f"Paid. Your license is valid: {order['license']}",
        *([order["visible"]] if wallet is not None else []),
        f"License bundle: {options.out} (with the data it needs neither this site nor an account)",
        f"Next: cadastre get {options.out}",
    )
    return 0


def list_offers(session: Session, options: argparse.Namespace) -> int:
    """Print digests and ids that `buy` takes, with prices and terms in a sentence."""
    client = session.client
    dataset = client.dataset(options.dataset)["id"] if options.dataset else None
    public = client.offers(dataset) if dataset else []
    has_account = session.profile.key_for(session.site) is not None
    private = [each for each in client.private_offers() if dataset in {None, each["dataset"]}] if has_account else []
    lines = [f"{each['price']['text']}  {each['sentences'][0]}  To buy it: --offer {each['digest']}" for each in public]
    lines += [
        f"{each['total']['text']}  {each['title']} ({each['dataset']}), to you alone until {each['expires'][:10]}  "
        f"{each['sentences'][0]}  "
        + (f"To buy it: --quote {each['id']}" if each["state"] == "ready" else "Its owner has not signed it yet.")
        for each in private
    ]
    nothing = "There is no offer. Ask the owner for one." if dataset else "Nothing was offered to you alone."
    session.console.result({"public": public, "private": private}, *(lines or [nothing]))
    return 0


def show_order(session: Session, options: argparse.Namespace) -> int:
    """Print one order."""
    order = session.client.order(str(options.order))
    cause = f": {order['cause']}" if order["cause"] else ""
    license_id = order["license"] or "none yet"
    session.console.result(order, f"Order {order['id']} is {order['state']}{cause}", f"License: {license_id}")
    return 0


def _quote(session: Session, dataset: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return a new quote of a public offer, or the private offer that was named."""
    if options.quote is None:
        return session.client.quote(dataset, offer=options.offer)
    found = session.client.private_offer(options.quote)
    if found["dataset"] != dataset:
        raise MarketRefusal(
            "buy.quote", "This offer is of another dataset.", limit=dataset, actual=found["dataset"],
            todo=f"Run: cadastre buy {found['dataset']} --quote {options.quote}",
        )  # fmt: skip
    return found


def _line(row: dict[str, Any]) -> str:
    about = f"{row['kind']}, {row['visibility']}, {row['records']:,} records"
    return f"{row['name']}  {row['title']}, by {row['creator']}  {about}  {_price(row)}"


def _nothing(session: Session, words: str) -> str:
    meant = session.client.meant(words) if words else None
    if meant is not None:
        return f"Nothing is listed for these words. Did you mean: cadastre search {meant}"
    return "Nothing that is listed fits. Try fewer words, or no filters."


def _price(row: dict[str, Any]) -> str:
    return str(row["price"]["text"]) if row.get("price") else "not for sale"
