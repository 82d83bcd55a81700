"""A register of rows: people with keys, content through the real pipeline, a chain played by the test.

What the chain says (registrations, licenses) is written as the follower's projections would be; everything else goes
through the same actions, workers and signer as in production. End to end on a real chain is `make demo`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from marketplace import journal, market_calls
from marketplace.actions.accounts import sign_up
from marketplace.actions.api_keys import create_api_key
from marketplace.actions.custody import derive_addresses
from marketplace.actions.drafts import confirm_draft, describe_draft, open_draft, set_terms
from marketplace.actions.offers import advance_offers
from marketplace.api.names import id_of
from marketplace.core.presets import PRESETS
from marketplace.core.terms import Rate, RateUnit, Terms
from marketplace.models import Draft, LicenseRow, Listing
from marketplace.projections.finality import _certify
from marketplace.queries.actors import SCOPES, Actor
from marketplace.queries.drafts import review_draft
from provenance import bootstrap, chain_facts, ingest, packaging, publication, signing, submissions
from provenance.adapters.keystore import SeedKeyRing
from provenance.adapters.scanner import SignatureScanner
from provenance.anchoring import commit_index_due
from provenance.intake import submit_statement
from provenance.models import (
    ChainEvent,
    ContentKey,
    DatasetRecord,
    Deployment,
    GrantRow,
    KeyState,
    PackageRecord,
    ParentEdge,
    Submission,
    SubmissionState,
    VersionRecord,
)
from provenance.sequencer import publish, sequence_due

RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
TOKEN = "eip155:31337/erc20:0x" + "44" * 20
PRICE = 240_000_000


def table(name: str, rows: int = 200) -> bytes:
    """A table whose records no other name's table shares: the copy check compares everything here, too."""
    lines = (hashlib.sha256(f"{name}{row}".encode()).hexdigest() for row in range(rows))
    return b"station,reading\n" + b"".join(f"{line[:12]},{int(line[12:20], 16)}\n".encode() for line in lines)


TABLE = table("sunspots")


def metered() -> Terms:
    """Terms with a rate, so that use costs something."""
    said = PRESETS["train-commercial"].terms
    rate = Rate(unit=RateUnit.RECORDS_1000, price=800_000)
    return Terms.from_document({**said.to_document(), "rate": rate.to_document()})


class Api:
    """A client of the API as a program is one: JSON in, JSON out."""

    def __init__(self, key: str | None = None, client: Client | None = None) -> None:
        self.http = client or Client()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Any:
        tail = f"?{urlencode(query)}" if query else ""
        return self.http.get(_url(path) + tail, headers={**self.headers, **(headers or {})})

    def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        sent = {**self.headers, **({"Idempotency-Key": key} if key else {}), **(headers or {})}
        data = body if isinstance(body, bytes | str) else json.dumps({} if body is None else body)
        kind = sent.pop("Content-Type", "application/json")
        return self.http.generic(method, _url(path), data, content_type=kind, headers=sent)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("POST", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> Any:
        return self.send("DELETE", path, "", **more)


def _url(path: str) -> str:
    return path if path.startswith("/api/") else f"/api/v1{path}"


@dataclass
class Person:
    """One of the cast, with as many keys as a test asks for."""

    actor: Actor
    now: datetime

    def key(self, *scopes: str) -> str:
        wanted = scopes or tuple(scope.value for scope in SCOPES)
        return create_api_key(by=self.actor, name="test", scopes=wanted, days=30, now=timezone.now())[1]

    def api(self, *scopes: str) -> Api:
        return Api(self.key(*scopes))

    def browser(self, *, csrf: bool = False) -> Api:
        """A signed-in browser session."""
        client = Client(enforce_csrf_checks=csrf)
        client.force_login(self.actor.membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return Api(client=client)


class Site:
    """The register that a test speaks to."""

    def __init__(self) -> None:
        self.ring = SeedKeyRing(bytes(range(1, 33)))
        self.deployment = Deployment.objects.create(
            chain_id=31337, registry="0x" + "11" * 20, market="0x" + "22" * 20, anchor="0x" + "33" * 20, first_block=1,
            finalized=0, created_at=timezone.now(),
            tokens=[
                {"name": "TestUSD", "version": "1", "address": "0x" + "44" * 20, "symbol": "TUSD", "decimals": 6}
            ],
        )  # fmt: skip
        submit_statement(
            type="listing.changed", subject=self.deployment.dataset_caip(99), time=self.now,
            fact=f"listing.changed:{self.deployment.dataset_caip(99)}:1",
            body={"state": "delisted", "offer": None, "reason": "owner"},
        )  # fmt: skip
        self.sequence()

    @property
    def now(self) -> datetime:
        return timezone.now()

    def person(self, name: str) -> Person:
        actor = sign_up(
            email=f"{name.lower()}@example.org", password=f"{name}-keeps-a-secret", display_name=name, now=self.now
        )
        derive_addresses(ring=self.ring, now=self.now)
        return Person(actor, self.now)

    def give(self, person: Person, amount: int) -> None:
        """Put money into an account's balance."""
        journal.move(
            source=journal.FAUCET, target=journal.available(person.actor.account.pk), token=TOKEN, amount=amount,
            effect=f"gift:{person.actor.account.pk}:{timezone.now().timestamp()}", now=self.now,
        )  # fmt: skip

    def work(self, draft: Draft) -> Submission:
        """What workers and signer do about a draft until nothing is due."""
        stores = bootstrap.content_stores()
        submission = Submission.objects.get(pk=draft.submission)
        for _ in range(20):
            done = ingest.inspect_due(clock=timezone.now, limit=100, scanner=SignatureScanner())
            done += packaging.store_due(next(iter(stores.values())), clock=timezone.now, limit=100)
            done += publication.advance(submission, now=self.now, stores=stores)
            done += ContentKey.objects.filter(state=KeyState.WANTED).count()
            signing.sign_due(self.ring, self.now)
            submission.refresh_from_db()
            if not done:
                break
        return submission

    def draft(self, person: Person, files: dict[str, bytes], *, checked: bool = True, **fields: Any) -> Draft:
        """A described draft with its files, checked unless told otherwise."""
        by = person.actor
        visibility = fields.pop("visibility", "sealed")
        draft = open_draft(by=by, now=self.now, visibility=visibility)
        rights = [{"source": "my own work", "basis": "own-work"}]
        said = {"title": "Sunspots", "creator": by.account.display_name, "rights": rights, **fields}
        draft = describe_draft(by=by, draft=draft.pk, revision=draft.revision, now=self.now, **said)
        assert draft.submission is not None
        for path, data in files.items():
            file = submissions.add_file(
                by=by.account.pk, submission=draft.submission, path=path, size=len(data), now=self.now
            )
            if data:
                submissions.append_bytes(by=by.account.pk, file=file.pk, offset=0, data=data, now=self.now)
        if checked:
            submissions.seal_file_list(by=by.account.pk, submission=draft.submission, now=self.now)
            self.work(draft)
        draft.refresh_from_db()
        return draft

    def publish(
        self,
        person: Person,
        *,
        files: dict[str, bytes] | None = None,
        price: int | None = PRICE,
        terms: Terms | None = None,
        **fields: Any,
    ) -> Listing:
        """Everything from upload to a live offer."""
        name = f"{person.actor.account.slug}{DatasetRecord.objects.count()}"
        draft = self.draft(person, files or {"sunspots.csv": table(name)}, **fields)
        by = person.actor
        said = (terms or metered()).to_document()
        if fields.get("visibility") == "open":
            price = 0
        draft = set_terms(
            by=by, draft=draft.pk, revision=draft.revision, terms=said, price=price, hold_seconds=3600, now=self.now
        )
        confirm_draft(by=by, draft=draft.pk, digest=review_draft(draft, now=self.now).digest, now=self.now)
        self.register(draft)
        signing.sign_due(self.ring, self.now)
        advance_offers(now=self.now)
        draft.refresh_from_db()
        return Listing.objects.get(pk=draft.dataset)

    def register(self, draft: Draft) -> DatasetRecord:
        """What chain and follower do about a confirmed draft."""
        submission = Submission.objects.get(pk=draft.submission)
        assert submission.state == SubmissionState.REGISTERING, (submission.state, submission.refusal)
        signing.sign_due(self.ring, self.now)
        owner = submission.owner.rpartition(":")[2]
        number = DatasetRecord.objects.count() + 1
        place = {"tx": f"0x{number:064x}", "block_number": number, "block_hash": f"0x{number:064x}"}
        record = DatasetRecord.objects.create(
            deployment=self.deployment, token=number, owner=owner, creator=owner, derive_bps=submission.derive_bps,
            versions=1, manifest=submission.manifest, registered_at=self.now, final=True, **place,
        )  # fmt: skip
        VersionRecord.objects.create(
            deployment=self.deployment, dataset=record, token=number, version=1, manifest=submission.manifest,
            published_at=self.now, **place,
        )  # fmt: skip
        PackageRecord.objects.create(
            deployment=self.deployment, dataset=record, token=number, version=1, package=1, digest=submission.package,
            kind=submission.visibility, **place,
        )  # fmt: skip
        for parent in submission.parents:
            upper = DatasetRecord.objects.get(token=int(parent["dataset"].rpartition("/")[2]))
            ParentEdge.objects.create(
                deployment=self.deployment, dataset=record, child=number, parent=upper.token, bps=upper.derive_bps
            )
        Deployment.objects.filter(pk=self.deployment.pk).update(finalized=number)
        event = ChainEvent.objects.create(
            deployment=self.deployment, log_index=0, final=True, contract=self.deployment.registry, **place,
            block_time=int(self.now.timestamp()),
            name="DatasetRegistered", subject=f"dataset/{number}",
            args={
                "dataset": str(number), "owner": owner, "manifest": f"0x{submission.manifest}",
                "package": f"0x{submission.package}", "packageKind": "0" if submission.visibility == "open" else "1",
                "deriveBps": str(submission.derive_bps), "splits": "0x" + (submission.splits or "0" * 64),
            },
        )  # fmt: skip
        chain_facts.record_final(event)
        self.work(draft)
        return record

    def license(self, person: Person, listing: Listing, **changes: Any) -> LicenseRow:
        """A final license of the listing's offer, as the projection of the chain would have it."""
        listing.refresh_from_db()
        offer = listing.offer
        assert offer is not None
        number = LicenseRow.objects.count() + 1
        fields = {
            "id": self.deployment.license_caip(number), "chain": 31337, "market": self.deployment.market,
            "number": number, "dataset": listing.dataset, "version": 1, "offer": offer.digest, "terms": offer.terms_id,
            "price": offer.price, "fee": offer.price // 40, "token": offer.token, "licensee": "0x" + "c1" * 20,
            "payer": "0x" + "c2" * 20, "uses": listing.uses, "start": self.now - timedelta(days=2),
            "hold_until": self.now + timedelta(hours=1), "block": 5, "block_hash": "0x" + "bb" * 32,
            "tx": "0x" + "dd" * 32, "log": 0, "final": True, "account": person.actor.account,
        }  # fmt: skip
        return LicenseRow.objects.create(**{**fields, **changes})

    def deliver(self, row: LicenseRow, recipient: str = RECIPIENT) -> None:
        """What follows from a final purchase: the entry, the certificate, the grant."""
        event = ChainEvent.objects.create(
            deployment=self.deployment, block_number=row.block, block_hash=row.block_hash, log_index=row.log,
            block_time=int(self.now.timestamp()), tx=row.tx, contract=self.deployment.market, final=True, args={},
            name="LicensePurchased", subject=f"license/{row.number}",
        )  # fmt: skip
        market_calls.state_event(
            type="license.purchased", subject=row.pk, event=event,
            body={
                "dataset": row.dataset, "offer": row.offer, "terms": row.terms, "price": str(row.price),
                "fee": str(row.fee), "token": row.token, "uses": row.uses,
            },
        )  # fmt: skip
        _certify(row)
        for package in PackageRecord.objects.filter(token=int(row.dataset.rpartition("/")[2]), kind="sealed"):
            grant = GrantRow.objects.create(
                license=row.pk, package=package.digest, recipient=recipient, created=self.now, changed=self.now
            )
            key = ContentKey.objects.get(package=package.digest)
            signing._grant(grant, self.ring.grant_identity(bytes(key.wrapped), recipient), self.now)
        self.sequence()

    def sequence(self) -> None:
        """What the sequencer does; it also commits to the subjects, so that bundles can leave nothing out."""
        for _ in range(2):
            while sequence_due(self.ring, self.now):
                pass
            commit_index_due(self.now)
        publish(self.now)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run `work` in threads that start together; return what each returned."""
    answers: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        try:
            answers[number] = work(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture(autouse=True)
def var(tmp_path, settings):
    """Folders of the test's own, and an own log."""
    settings.CADASTRE_VAR = tmp_path
    settings.CADASTRE_UPLOAD_DIR = tmp_path / "uploads"
    settings.CADASTRE_BLOCK_DIR = tmp_path / "blocks"
    settings.CADASTRE_LOG_DIR = tmp_path / "log"
    settings.CADASTRE_LOG_ORIGIN = "register.example/log"
    settings.CADASTRE_CONTENT_LIMITS = {"disk_reserve": 0}
    settings.CADASTRE_INDEX_ENTRIES = 1
    return tmp_path


@pytest.fixture
def site(db) -> Site:
    return Site()


@pytest.fixture
def ada(site) -> Person:
    """Publishes."""
    return site.person("Ada")


@pytest.fixture
def ben(site) -> Person:
    """Derives."""
    return site.person("Ben")


@pytest.fixture
def cleo(site) -> Person:
    """Buys."""
    return site.person("Cleo")


@pytest.fixture
def mallory(site) -> Person:
    """Cheats."""
    return site.person("Mallory")


@pytest.fixture
def visitor() -> Api:
    """Somebody without a key."""
    return Api()


@pytest.fixture
def listing(site, ada) -> Listing:
    """Ada's locked table, for sale."""
    return site.publish(ada)


@pytest.fixture
def dataset(listing) -> str:
    """Its id in addresses."""
    return id_of(listing.dataset)
