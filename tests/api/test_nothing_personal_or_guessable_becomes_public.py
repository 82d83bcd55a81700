"""Everything that leaves the register for good: entries, files of the log, public documents, stored blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.models import LicenseRow, UsageReport
from provenance.core.cid import Cid
from provenance.models import ContentKey, Document, FingerprintRow, IntakeStatement, LogEntry, Submission
from tests.api.conftest import RECIPIENT, Site, table
from tests.api.test_a_license_is_bought_by_a_program import report
from tests.api.test_nobody_holds_up_the_others import order

pytestmark = pytest.mark.django_db
PATH = "ward-7/patients-of-dr-salt.csv"
MODEL, RUN = "secret-shore-net-9", "run-of-monday"


def leaves_the_register(site: Site, settings) -> Iterator[tuple[str, bytes]]:
    """(where, bytes) of all that strangers can have, now or once somebody tells them a CID."""
    site.sequence()
    for entry in LogEntry.objects.all():
        yield f"entry {entry.index}", bytes(entry.envelope)
    for row in IntakeStatement.objects.all():
        yield f"statement {row.pk}", row.statement.encode()
    for document in Document.objects.filter(public=True):
        yield f"document {document.schema}", document.content
    for folder in (settings.CADASTRE_LOG_DIR, settings.CADASTRE_BLOCK_DIR):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                yield str(path.relative_to(folder)), path.read_bytes()


def forms(secret: str | bytes) -> set[bytes]:
    """A secret as it is, in hex, as its digest, and as the CID of its bytes: what a dictionary would be tried with."""
    raw = secret.encode() if isinstance(secret, str) else secret
    digest = hashlib.sha256(raw)
    found = {raw, digest.digest(), digest.hexdigest().encode(), str(Cid.of(raw)).encode()}
    return found if isinstance(secret, str) else found | {raw.hex().encode()}


def test_no_name_no_address_no_file_and_no_fingerprint_of_sealed_data_can_be_found_or_guessed(
    site, ada, cleo, settings
):
    data = table("patients")
    listing = site.publish(ada, files={PATH: data}, title="Readings of a ward", creator="A. F.")
    row = site.license(cleo, listing, order=order(site, cleo, listing))
    site.deliver(row)
    said = report(site, row, model={"id": MODEL}, run={"id": RUN})
    assert cleo.api("use").post("/usage", said, key="u").status_code == 201
    submission = Submission.objects.get(dataset=listing.dataset)
    file = submission.files.get()
    sketches = [bytes(each.payload) for each in FingerprintRow.objects.filter(submission=submission)]
    assert file.salt
    assert sketches
    secrets: dict[str, str | bytes] = {
        "e-mail of the creator": ada.actor.membership.user.email, "e-mail of the buyer": "cleo@example.org",
        "account of the creator": str(ada.actor.account.pk), "account of the buyer": str(cleo.actor.account.pk),
        "path": PATH, "file name": PATH.rpartition("/")[2], "plaintext": data, "first rows": data[:200],
        "model": MODEL, "run": RUN, "buyer's key": RECIPIENT, "salt": bytes.fromhex(file.salt),
        "content key": bytes(ContentKey.objects.get().wrapped or b""), "report": UsageReport.objects.get().document,
        **{f"sketch {number}": sketch for number, sketch in enumerate(sketches)},
    }  # fmt: skip
    places = list(leaves_the_register(site, settings))
    assert {where.partition(" ")[0] for where, _ in places} > {"entry", "statement", "document"}
    # The log does hold the digest of a report: of a document that nobody guesses, because it is salted.
    told = hashlib.sha256(bytes(secrets["report"])).hexdigest().encode()
    found = {
        (name, where)
        for name, secret in secrets.items()
        for form in forms(bytes(secret) if isinstance(secret, memoryview) else secret)
        for where, content in places
        if form in content and form != told
    }
    assert found == set()
    assert any(b"Readings of a ward" in content for _, content in places), "what was confirmed is there"


def test_a_display_name_that_was_not_confirmed_and_the_buyers_do_not_appear(site, ada, cleo, settings):
    listing = site.publish(ada, title="Readings", creator="A. F.")
    site.deliver(site.license(cleo, listing))
    assert LicenseRow.objects.get().account == cleo.actor.account
    names = (b'"Ada"', b'"Cleo"', b"ada@", b"cleo@", b"/ada/")
    places = list(leaves_the_register(site, settings))
    assert [(name, where) for where, content in places for name in names if name in content] == []
