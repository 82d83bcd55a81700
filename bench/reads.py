"""Hot JSON reads against plain REST framework: the same rows, through the same middleware, in one process.

Ours also counts each request against its limit, says an ETag and a CAIP id for everything; `bench/plain_drf.py` is what
a project writes that takes the framework as it comes. The two take turns.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from bench.result import Result

LISTINGS = 500
REQUESTS = 300
WARM_UP = 20
REGISTRY, MARKET, ANCHOR, TOKEN = ("0x" + digit * 40 for digit in "1234")
CHAIN = 31337
PRICE = 240_000_000


def run(requests: int = REQUESTS) -> list[Result]:
    """Return a list of fifty, one dataset, and one that has not changed."""
    folder = Path(tempfile.mkdtemp(prefix="cadastre-bench-"))
    os.environ |= {"CADASTRE_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "marketplace.settings"}
    import django

    django.setup()
    try:
        ask = _site()
        detail = f"/api/v1/datasets/{CHAIN}-{REGISTRY[2:]}-250"
        etag = ask(detail)["ETag"]
        pairs = (
            ("list of 50", lambda: ask("/api/v1/datasets?limit=50"), lambda: ask("/plain/datasets")),
            ("one dataset", lambda: ask(detail), lambda: ask("/plain/datasets/250")),
            ("one unchanged dataset", lambda: ask(detail, etag=etag, status=304), lambda: ask("/plain/datasets/250")),
        )
        return [_compared(name, ours, plain, requests) for name, ours, plain in pairs]
    finally:
        from django.db import connections

        connections.close_all()
        shutil.rmtree(folder, ignore_errors=True)


def _compared(name: str, ours: Callable[[], Any], plain: Callable[[], Any], requests: int) -> Result:
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(requests + WARM_UP):
        for work, kept in ((ours, taken[0]), (plain, taken[1])):
            # Processor time: on a busy machine the longer answer would wait for its turn, and the short one would not.
            started = time.process_time()
            work()
            if number >= WARM_UP:
                kept.append(time.process_time() - started)
    mine, peer = (1 / median(each) for each in taken)
    note = (
        f"median of {requests} requests each, in turn, in one process, {LISTINGS} listings in SQLite; peer: plain DRF"
    )
    return Result(f"hot read, {name}", mine, peer, mine / peer, "requests per CPU second", note)


def _site() -> Callable[..., dict[str, str]]:
    """Fill a database and return a function that asks the whole site by WSGI."""
    from django.conf import settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    settings.ROOT_URLCONF = "bench.plain_drf"
    settings.CADASTRE_API_RATES = {"general": 10**9}
    call_command("migrate", verbosity=0)
    _seed()
    application = get_wsgi_application()

    def ask(address: str, *, etag: str = "", status: int = 200) -> dict[str, str]:
        path, _, query = address.partition("?")
        seen: dict[str, Any] = {}

        def start(line: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            seen["status"], seen["headers"] = int(line[:3]), dict(headers)
            return io.BytesIO().write

        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000", "HTTP_HOST": "127.0.0.1:8000", "REMOTE_ADDR": "127.0.0.1", "SCRIPT_NAME": "",
            "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http", "wsgi.version": (1, 0), "wsgi.multithread": False,
            "wsgi.multiprocess": False, "wsgi.run_once": False, **({"HTTP_IF_NONE_MATCH": etag} if etag else {}),
        }  # fmt: skip
        response = application(environ, start)
        body = b"".join(response)
        response.close()
        if seen["status"] != status:
            raise AssertionError(f"{address} answered {seen['status']}: {body[:300]!r}")
        if status == 200:
            json.loads(body)
        headers: dict[str, str] = seen["headers"]
        return headers

    return ask


def _seed() -> None:
    from marketplace.models import Account, Listing, OfferRow, TermsRow
    from provenance.models import DatasetRecord, Deployment, Document, PackageRecord, ParentEdge, VersionRecord

    now = datetime(2026, 11, 20, tzinfo=UTC)
    deployment = Deployment.objects.create(
        chain_id=CHAIN, registry=REGISTRY, market=MARKET, anchor=ANCHOR, first_block=1, created_at=now,
        tokens=[{"name": "TestUSD", "address": TOKEN, "symbol": "TUSD", "decimals": 6}],
    )  # fmt: skip
    account = Account.objects.create(slug="ada", display_name="Ada", kind="person")
    terms = TermsRow.objects.create(digest="00" * 32, document=b"{}", title="Train a model")
    place = {"tx": "0x" + "7c" * 32, "block_number": 8, "block_hash": "0x" + "8b" * 32}
    for number in range(1, LISTINGS + 1):
        digest = f"{number:064x}"
        record = DatasetRecord.objects.create(
            deployment=deployment, token=number, owner="0x" + "a0" * 20, creator="0x" + "a0" * 20, derive_bps=500,
            versions=1, manifest=digest, registered_at=now, final=True, **place,
        )  # fmt: skip
        VersionRecord.objects.create(
            deployment=deployment, dataset=record, token=number, version=1, manifest=digest, published_at=now, **place
        )
        package = Document.create_from_bytes(
            json.dumps({"package": number, "root": "bafy"}, separators=(",", ":"), sort_keys=True).encode(),
            schema="cadastre.package/1",
        )
        PackageRecord.objects.create(
            deployment=deployment, dataset=record, token=number, version=1, package=1, digest=package.sha256,
            kind="sealed", **place,
        )  # fmt: skip
        for parent in {number // 2, number // 3} - {0, number}:
            ParentEdge.objects.create(
                deployment=deployment, dataset=record, child=number, parent=parent, bps=500, license=1
            )
        offer = OfferRow.objects.create(
            digest=digest, account=account, dataset=record.caip, version=1, terms=terms, document=b"{}", typed_data={},
            price=PRICE, token=f"eip155:{CHAIN}/erc20:{TOKEN}", fee_bps=250, hold_seconds=0, nonce=str(number),
            state="live",
        )  # fmt: skip
        Listing.objects.create(
            dataset=record.caip, account=account, slug=f"tide-pools-{number}", offer=offer, state="listed",
            title=f"Tide pools {number}", creator="Ada", description="Photographs of tide pools. " * 10, kind="image",
            visibility="sealed", languages=["en"], uses=["derive", "fine-tune", "pretrain"], files=14, bytes=10**7,
            records=14, created=now + timedelta(seconds=number), changed=now,
        )  # fmt: skip


if __name__ == "__main__":
    for result in run():
        print(f"{result.name:32} {result.ours:10.0f} {result.peer:10.0f} {result.ratio:6.2f} {result.unit}")
