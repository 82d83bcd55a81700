"""How long a purchase takes: alone, and with fifty at once.

Each time begins when the order is sent and ends when the order is

- answered: it is written, its price held, and its id in the buyer's hands
- mined: its license is in a block of the chain
- final: that block can no longer be taken back, and the license is in the log's intake
- ready: its content key is granted, so the license bundle can be downloaded and the data opened

Fifty buyers send one order each at the same moment; one watcher reads the account's list of orders five times a second,
as an organization would that buys fifty datasets. So figures are up to 0.2 s and one reading too high.

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
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
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
STAGES = ("answered", "mined", "final", "ready")
MINED = frozenset({"mined", "final"})
OVER = frozenset({"failed", "declined", "refunded", "approval"})


@dataclass(frozen=True)
class Taken:
    """Seconds from sending an order to each stage."""

    answered: float
    mined: float
    final: float
    ready: float


def run() -> list[Result]:
    """Return four latencies at fifty at once, each against one purchase alone."""
    site = os.environ.get("CADASTRE_BENCH_SITE")
    if site:
        alone, together = measure(site, os.environ["CADASTRE_BENCH_KEY"], os.environ["CADASTRE_BENCH_DATASET"])
    else:
        alone, together = _on_an_instance_of_its_own()
    return [_compared(name, alone, together) for name in STAGES]


def measure(site: str, key: str, dataset: str) -> tuple[list[Taken], list[Taken]]:
    """Buy a dataset a few times in turn, then fifty times at once. Every license is another one, or this fails."""
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    with Client(site, api_key=key) as watcher:
        offer = str(watcher.offers(dataset)[0]["digest"])

        def send(_: int) -> Sent:
            with Client(site, api_key=key) as buyer:
                started = time.monotonic()
                order = buyer.post("/orders", {"offer": offer, "recipient": recipient}, key=str(uuid.uuid4()))
                return Sent(str(order["id"]), started, time.monotonic())

        with ThreadPoolExecutor(AT_ONCE) as pool:
            alone = [_watch(watcher, [pool.submit(send, number)])[0] for number in range(ALONE)]
            together = _watch(watcher, [pool.submit(send, number) for number in range(AT_ONCE)])
    licenses = {license_id for license_id, _ in alone + together}
    if len(licenses) != ALONE + AT_ONCE:
        raise AssertionError(f"{ALONE + AT_ONCE} orders gave {len(licenses)} licenses")
    return [taken for _, taken in alone], [taken for _, taken in together]


@dataclass(frozen=True)
class Sent:
    """An order, when it was sent and when it was answered."""

    order: str
    started: float
    answered: float


def _watch(watcher: Client, sending: list[Future[Sent]]) -> list[tuple[str, Taken]]:
    """Read the list of orders until each bundle is ready; return each license and what it took."""
    reached: dict[str, dict[str, float]] = {stage: {} for stage in STAGES[1:]}
    licenses: dict[str, str] = {}
    began = time.monotonic()
    while True:
        sent = {future.result().order for future in sending if future.done()}
        page = watcher.get("/orders", limit=100)["results"]
        now = time.monotonic()
        for order in (each for each in page if each["id"] in sent):
            if order["state"] in OVER or now - began > PATIENCE:
                raise AssertionError(f"order {order['id']} is {order['state']}: {order['cause']}")
            if order["state"] in MINED:
                reached["mined"].setdefault(order["id"], now)
                licenses[order["id"]] = str(order["license"])
            if order["state"] == "final":
                reached["final"].setdefault(order["id"], now)
        for order_id in reached["final"].keys() - reached["ready"].keys():
            if watcher.get(f"/licenses/{licenses[order_id]}")["delivery"] == "granted":
                reached["ready"][order_id] = time.monotonic()
        if len(reached["ready"]) == len(sending):
            return [_taken(future.result(), licenses, reached) for future in sending]
        time.sleep(LOOK_AGAIN)


def _taken(sent: Sent, licenses: dict[str, str], reached: dict[str, dict[str, float]]) -> tuple[str, Taken]:
    later = [reached[stage][sent.order] - sent.started for stage in STAGES[1:]]
    return licenses[sent.order], Taken(sent.answered - sent.started, *later)


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
    print(json.dumps([[list(astuple(each)) for each in taken] for taken in (alone, together)]))


if __name__ == "__main__":
    main()
