"""`search`, `buy`, `order`, `get`, `report-usage`: from finding data to paying for what was used."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cadastre.console import size_in_words
from cadastre.download import Progress, download
from cadastre.license_bundle import LicenseBundle
from cadastre.session import Session
from provenance.adapters.blocks_local import LocalBlocks
from provenance.core.car import CarReader
from provenance.core.cid import Cid
from provenance.core.refusal import Refusal


class MarketRefusal(Refusal):
    """A command lacks something, or found nothing to do."""


def add_commands(commands: Any) -> None:
    """Add the commands of model builders."""
    search = commands.add_parser("search", help="find datasets")
    search.add_argument("words", nargs="*")
    search.add_argument("--kind", choices=["image", "table", "text", "audio", "mixed"])
    search.add_argument("--use", choices=["pretrain", "fine-tune", "evaluate", "retrieve", "derive", "redistribute"])
    search.set_defaults(run=search_datasets)

    buy = commands.add_parser("buy", help="license a dataset")
    buy.add_argument("dataset", help="its id, or ACCOUNT/NAME")
    buy.add_argument("--offer", help="digest of one of its offers (default: the cheapest)")
    buy.add_argument("--max-price", help="refuse to pay more, in base units")
    buy.add_argument("--key", help="idempotency key: the same key never buys twice")
    buy.add_argument("--recipient", help="age recipient to open the data for (default: yours)")
    buy.add_argument("--out", type=Path, default=Path("bundle.json"), help="where to write the license bundle")
    buy.set_defaults(run=buy_license)

    order = commands.add_parser("order", help="look at an order")
    order.add_argument("order")
    order.set_defaults(run=show_order)

    get = commands.add_parser("get", help="download, decrypt and check licensed or open data")
    get.add_argument("what", help="bundle file, license id, or the id of an open dataset")
    get.add_argument("--to", type=Path, default=Path("data"), help="folder to write into")
    source = get.add_mutually_exclusive_group()
    source.add_argument("--blocks", type=Path, help="take blocks from a block directory, not from the site")
    source.add_argument("--car", type=Path, help="take blocks from a CAR file")
    source.add_argument("--ipfs", help="take blocks from a Kubo node, e.g. /ip4/127.0.0.1/tcp/5001/http")
    get.set_defaults(run=get_data)

    usage = commands.add_parser("report-usage", help="report what a license was used for")
    usage.add_argument("license")
    usage.add_argument("--use", required=True, choices=["pretrain", "fine-tune", "evaluate", "retrieve", "derive", "redistribute"])
    usage.add_argument("--quantity", required=True, help="in the unit of the license's rate (whole number)")
    usage.add_argument("--from", dest="period_from", required=True, metavar="DATE")
    usage.add_argument("--to", dest="period_to", required=True, metavar="DATE")
    usage.add_argument("--version", type=int, default=1, help="version of the dataset that was used")
    usage.add_argument("--model", required=True, help="the model's id")
    usage.add_argument("--run", dest="run_id", required=True, help="id of the training run")
    usage.add_argument("--secret-names", action="store_true", help="send only salted commitments to model and run")
    usage.add_argument("--corrects", help="digest of an earlier report that this one replaces")
    usage.add_argument("--key", help="idempotency key (default: made from the report)")
    usage.set_defaults(run=report_usage)


def search_datasets(session: Session, options: argparse.Namespace) -> int:
    """Print what is listed."""
    found = list(session.client.search(" ".join(options.words), kind=options.kind, use=options.use))
    lines = [f"{row['id']}  {row['title']}, by {row['creator']}  {_price(row)}" for row in found]
    session.console.result(found, *(lines or ["Nothing is listed for these words."]))
    return 0


def buy_license(session: Session, options: argparse.Namespace) -> int:
    """Quote, order, wait, and keep the bundle."""
    profile = session.profile.with_identity()
    dataset = session.client.dataset(options.dataset)
    quote = session.client.quote(dataset["id"], offer=options.offer)
    if options.max_price is not None and int(quote["total"]["amount"]) > int(options.max_price):
        raise MarketRefusal(
            "buy.price", "The price is higher than you allowed.", limit=options.max_price, actual=quote["total"]["amount"]
        )
    session.console.say(f"{dataset['title']}: {quote['total']['text']}. {' '.join(quote['sentences'][:2])}")
    # Made from what is bought, so that the same command after a lost reply finds the same order.
    key = options.key or hashlib.sha256(f"{quote['offer']}:{options.out.resolve()}".encode()).hexdigest()
    order = session.client.buy(
        offer=quote["offer"],
        recipient=options.recipient or profile.recipient,
        key=key,
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
        f"License bundle: {options.out} (with the data it needs neither this site nor an account)",
        f"Next: cadastre get {options.out}",
    )
    return 0


def show_order(session: Session, options: argparse.Namespace) -> int:
    """Print one order."""
    order = session.client.order(options.order)
    cause = f": {order['cause']}" if order["cause"] else ""
    session.console.result(order, f"Order {order['id']} is {order['state']}{cause}", f"License: {order['license'] or 'not yet'}")
    return 0


def get_data(session: Session, options: argparse.Namespace) -> int:
    """Fetch, decrypt and check; run again, it goes on where it was."""
    bundle, owner = _bundle(session, options.what)
    result = download(
        bundle,
        get_block=_block_source(session, options, owner),
        identity=session.profile.identity,
        folder=options.to,
        progress=lambda state: session.console.progress(_progress_words(state)),
    )
    session.console.result(
        {
            "folder": str(result.folder), "root": result.root, "files": result.files, "bytes": result.bytes,
            "seconds": round(result.seconds, 3), "sha256_ok": True, "cid_ok": True,
        },
        f"{result.files:,} files, {size_in_words(result.bytes)}, in {result.folder}.",
        f"Every file has the registered SHA-256; the stored bytes are {result.root}.",
    )  # fmt: skip
    return 0


def report_usage(session: Session, options: argparse.Namespace) -> int:
    """Send one report."""
    kind = "commitment" if options.secret_names else "id"
    report = {
        "license": options.license,
        "version": options.version,
        "period": {"from": options.period_from, "to": options.period_to},
        "use": options.use,
        "quantity": options.quantity,
        "model": {kind: _named(options.model, options, session)},
        "run": {kind: _named(options.run_id, options, session)},
        "corrects": options.corrects,
    }
    found = session.client.report_usage(report, key=options.key)
    session.console.result(
        found,
        f"Reported: {found['quantity']} × {found['unit'] or 'no rate'}; this report costs {found['amount']['text']}.",
        f"So far under this license: {found['cumulative_amount']['text']}. Report {found['digest']}",
    )
    return 0


def _named(name: str, options: argparse.Namespace, session: Session) -> str:
    if not options.secret_names:
        return name
    # The salt is the buyer's secret identity: nobody else can guess a model's name from its commitment.
    secret = session.profile.with_identity().identity or ""
    return hashlib.sha256(f"cadastre.commitment/1\0{secret}\0{name}".encode()).hexdigest()


def _bundle(session: Session, what: str) -> tuple[LicenseBundle, str]:
    path = Path(what)
    if path.is_file():
        bundle = LicenseBundle.load(path)
        return bundle, f"licenses/{_short(bundle.license)}" if bundle.license else f"datasets/{_short(bundle.content['dataset'])}"
    try:
        return LicenseBundle.read(session.client.bundle(what)), f"licenses/{what}"
    except Refusal:
        return LicenseBundle.read(session.client.trail(what)), f"datasets/{what}"


def _short(caip: str) -> str:
    chain, asset, number = caip.removeprefix("eip155:").split("/")
    return f"{chain}-{asset.partition(':0x')[2]}-{number}"


def _block_source(session: Session, options: argparse.Namespace, owner: str) -> Callable[[Cid], bytes]:
    if options.blocks:
        return LocalBlocks(options.blocks, name=str(options.blocks)).get_block
    if options.ipfs:
        from provenance.adapters.kubo import KuboBlocks

        return KuboBlocks(options.ipfs).get_block
    if options.car:
        return _car_blocks(options.car, options.to)
    return lambda cid: session.client.block(owner, cid)


def _car_blocks(car: Path, folder: Path) -> Callable[[Cid], bytes]:
    store = LocalBlocks(folder / ".cadastre" / "car", name=str(car), durable=False)
    with car.open("rb") as file:
        for cid, block in CarReader(file.read):
            store.put_block(cid, block)
    return store.get_block


def _progress_words(state: Progress) -> str:
    if state.files_total:
        return f"Checking files: {state.files:,} of {state.files_total:,}"
    return f"Fetching blocks: {state.blocks:,} of {state.blocks_known:,} known so far"


def _price(row: dict[str, Any]) -> str:
    return str(row["price"]["text"]) if row.get("price") else "not for sale"
