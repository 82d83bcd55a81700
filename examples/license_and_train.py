"""Find a dataset, license it, download it checked, train on it, and report the use: what an agent could start from.

    CADASTRE_API_KEY=cad_… python examples/license_and_train.py --site http://127.0.0.1:8000 tide pools

Run again after anything went wrong, it goes on: one key buys once, blocks that are here are not fetched again, and the
same report counts once. The key needs the scopes read, buy and use; the account needs a balance.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

# The folder above holds the client until it is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyrage

from cadastre import Client
from cadastre.download import download
from cadastre.license_bundle import LicenseBundle
from cadastre.pins import policy_of
from cadastre.sources import SiteSource
from provenance.core.audit import Auditor
from provenance.core.policy import Verdict
from provenance.core.refusal import Refusal
from provenance.core.verify import verify_bundle

USE = "fine-tune"


def choose(client: Client, words: str, most: int) -> dict:
    """The newest dataset that may be used so and costs no more than `most` base units."""
    found = next(client.search(words, use=USE, max_price=str(most)), None)
    if found is None:
        sys.exit(f"Nothing for {words!r} may be used to {USE} for at most {most} base units.")
    return found


def identity(path: Path) -> str:
    """The secret that licensed data opens with; nothing else opens it, so it is kept."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(str(pyrage.x25519.Identity.generate()))
    return path.read_text().strip()


def license_bundle(client: Client, dataset: dict, secret: str, path: Path) -> tuple[str, LicenseBundle]:
    """Pay once, whatever happens on the way, and keep the bundle: with it and the bytes the site is not needed."""
    recipient = str(pyrage.x25519.Identity.from_str(secret).to_public())
    offer = client.quote(dataset["id"])["offer"]
    order = client.buy(offer=offer, recipient=recipient, key=f"train:{offer}", say=print)
    path.write_bytes(client.bundle(order["license"]))
    return order["license"], LicenseBundle.load(path)


def check(bundle: LicenseBundle, pins: dict) -> None:
    """Believe nothing that does not verify against pins. Keep the pins from an earlier day, or from somebody else."""
    report = verify_bundle(bundle.bundle.to_bytes(), policy_of(pins, with_chain=False), Auditor())
    if report.verdict is not Verdict.PASS:
        sys.exit(f"The bundle does not verify: {json.dumps(report.to_document(), indent=2)}")


def train(folder: Path) -> Counter[str]:
    """Your training goes here. This one learns how often each word occurs."""
    model: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".cadastre" not in path.parts:
            model.update(path.read_text(encoding="utf-8", errors="ignore").split())
    return model


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("words", nargs="+")
    options.add_argument("--site", default="http://127.0.0.1:8000")
    options.add_argument("--most", type=int, default=50_000_000, help="base units: 50000000 are 50.00")
    options.add_argument("--folder", type=Path, default=Path("training"))
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with Client(given.site, api_key=os.environ["CADASTRE_API_KEY"]) as client:
        dataset = choose(client, " ".join(given.words), given.most)
        print(f"{dataset['title']}, by {dataset['creator']}: {dataset['price']['text']}")
        secret = identity(given.folder / "identity.txt")
        name, bundle = license_bundle(client, dataset, secret, given.folder / "bundle.json")
        check(bundle, client.deployment())
        source = SiteSource(client, f"licenses/{name}")
        done = download(bundle, source=source, identity=secret, folder=given.folder / "data")
        print(f"{done.files} files, {done.bytes:,} bytes, every hash checked")
        model = train(done.folder)
        print(f"{len(model):,} words learned; the most frequent is {model.most_common(1)[0][0]!r}")
        today = datetime.now(tz=UTC).date().isoformat()
        used = client.report_usage(
            {
                "license": name, "version": dataset["version"], "period": {"from": today, "to": today}, "use": USE,
                "quantity": str(dataset["records"]), "model": {"id": "words-1"}, "run": {"id": f"run-{today}"},
                "corrects": None,
            }
        )  # fmt: skip
        print(f"Reported {used['quantity']} records: {used['amount']['text']}")


if __name__ == "__main__":
    try:
        main()
    except Refusal as refusal:
        sys.exit(str(refusal))
