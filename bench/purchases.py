"""How long a purchase takes: alone, and with fifty at once, from the order to a license on chain and to a final one.

It runs on an instance of its own, with the embedded chain that mines when somebody waits; or on a running one, named by
CADASTRE_BENCH_SITE, CADASTRE_BENCH_KEY (of an account with money) and CADASTRE_BENCH_DATASET (with a public offer).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyrage

from bench.result import Result
from cadastre.client import Client
from provenance.adapters.local_process import free_port

AT_ONCE = 50
ALONE = 5
PATIENCE = 300.0
LOOK_AGAIN = 0.2
MINED = frozenset({"mined", "final"})
OVER = frozenset({"failed", "declined", "refunded", "approval"})


@dataclass(frozen=True)
class Taken:
    """Seconds from sending an order to its answer, to its license on chain, and to a final license."""

    answered: float
    mined: float
    final: float


def run() -> list[Result]:
    """Return three latencies at fifty at once, each against one purchase alone."""
    site = os.environ.get("CADASTRE_BENCH_SITE")
    if site:
        alone, together = measure(site, os.environ["CADASTRE_BENCH_KEY"], os.environ["CADASTRE_BENCH_DATASET"])
    else:
        alone, together = _on_an_instance_of_its_own()
    return [_compared(name, alone, together) for name in ("answered", "mined", "final")]


def measure(site: str, key: str, dataset: str) -> tuple[list[Taken], list[Taken]]:
    """Buy a dataset a few times in turn, then fifty times at once. Every license is another one, or this fails."""
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    with Client(site, api_key=key) as client:
        offer = str(client.offers(dataset)[0]["digest"])

    def buy(_: int) -> tuple[str, Taken]:
        with Client(site, api_key=key) as buyer:
            return _buy(buyer, offer, recipient)

    alone = [buy(number) for number in range(ALONE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = list(pool.map(buy, range(AT_ONCE)))
    licenses = {license_id for license_id, _ in alone + together}
    if len(licenses) != ALONE + AT_ONCE:
        raise AssertionError(f"{ALONE + AT_ONCE} orders gave {len(licenses)} licenses")
    return [taken for _, taken in alone], [taken for _, taken in together]


def _buy(buyer: Client, offer: str, recipient: str) -> tuple[str, Taken]:
    started = time.monotonic()
    order = buyer.post("/orders", {"offer": offer, "recipient": recipient}, key=str(uuid.uuid4()))
    answered = time.monotonic() - started
    mined = None
    while order["state"] != "final":
        spent = time.monotonic() - started
        if order["state"] in OVER or spent > PATIENCE:
            raise AssertionError(f"order {order['id']} is {order['state']}: {order['cause']}")
        if mined is None and order["state"] in MINED:
            mined = spent
        time.sleep(LOOK_AGAIN)
        order = buyer.order(order["id"])
    final = time.monotonic() - started
    return str(order["license"]), Taken(answered, mined or final, final)


def _compared(name: str, alone: list[Taken], together: list[Taken]) -> Result:
    single = median(getattr(each, name) for each in alone)
    many = sorted(getattr(each, name) for each in together)
    p50, p99 = median(many), many[math.ceil(0.99 * len(many)) - 1]
    note = f"p50 of {len(many)} at once, p99 {p99:.2f} s; against the median of {len(alone)} alone"
    return Result(f"purchase {name}, {len(many)} at once", p50, single, single / p50, "s", note)


def _on_an_instance_of_its_own() -> tuple[list[Taken], list[Taken]]:
    from marketplace.management.embedded import DEFAULTS, MARK

    folder, port = tempfile.mkdtemp(prefix="cadastre-bench-"), free_port()
    own = {
        "CADASTRE_VAR": folder,
        "CADASTRE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CADASTRE_EPOCH_SECONDS": "31536000",
        "DJANGO_SETTINGS_MODULE": "marketplace.settings",
        MARK: "1",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.purchases", folder, str(port)],
            env={**DEFAULTS, **os.environ, **own}, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    alone, together = json.loads(done.stdout.splitlines()[-1])
    return [Taken(*each) for each in alone], [Taken(*each) for each in together]


def _instance(folder: Path, port: int) -> tuple[list[Taken], list[Taken]]:
    import django

    django.setup()
    from django.utils import timezone

    from marketplace.core.adapting import adapted
    from marketplace.management.story.cast import enlist
    from marketplace.management.story.tell import Story, publish
    from marketplace.management.supervisor import Supervisor

    def say(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    supervisor = Supervisor(port=port, say=say)
    story = Story(site=supervisor.url, folder=folder / "story", say=say)
    supervisor.start()
    try:
        for name in ("Ada", "Cleo"):
            person = enlist(name, site=story.site, home=folder / "homes", now=timezone.now())
            story.cast[name.lower()] = person
        cleo, ada = story.cast["cleo"], story.cast["ada"]
        cleo.client.post("/faucet", {}, key="bench-faucet")
        story.wait("Cleo's money", lambda: int(cleo.client.me()["balance"]["available"]["amount"]) > 0)
        story.wait("Ada's address", lambda: bool(ada.client.me()["account"].get("address")))
        (folder / "set").mkdir()
        rows = "".join(f"{number},{number * number % 9973}\n" for number in range(2_000))
        (folder / "set" / "squares.csv").write_text(f"number,remainder\n{rows}")
        publish(story, "ada", "squares", folder / "set", {
            "title": "Squares", "creator": "Ada", "description": "", "kind": "table", "price": "1.00",
            "slug": "squares",
            "rights": [{"source": "bench", "basis": "own-work"}], "terms": adapted("train-only").to_document(),
        })  # fmt: skip
        return measure(story.site, cleo.key, story.datasets["squares"]["id"])
    finally:
        supervisor.stop()


def main() -> None:
    """Run an instance in a folder, measure on it, print what was taken."""
    alone, together = _instance(Path(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps([[[each.answered, each.mined, each.final] for each in taken] for taken in (alone, together)]))


if __name__ == "__main__":
    main()
