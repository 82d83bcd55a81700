"""The cast, a fixed clock, and scratch space of its own for every test about content."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pyrage
import pytest

from provenance import ingest, packaging, pinning, publication, submissions
from provenance.adapters.blocks_local import LocalBlocks
from provenance.adapters.scanner import SignatureScanner
from provenance.core.cid import Cid
from provenance.core.unixfs.reading import read_file, walk_files
from provenance.models import (
    ContentKey,
    DatasetRecord,
    Deployment,
    KeyState,
    PackageRecord,
    SubmissionState,
    VersionRecord,
)
from provenance.queries import dataset_by_caip

ADA = UUID("ada00000-0000-4000-8000-000000000001")
BEN = UUID("be000000-0000-4000-8000-000000000002")
MALLORY = UUID("baddad00-0000-4000-8000-000000000003")
OWNERS = {
    ADA: "eip155:31337:0x" + "a1" * 20,
    BEN: "eip155:31337:0x" + "b2" * 20,
    MALLORY: "eip155:31337:0x" + "c3" * 20,
}
NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def var(tmp_path, settings):
    """Scratch, index and previews below a directory of the test's own."""
    settings.CADASTRE_VAR = tmp_path
    settings.CADASTRE_UPLOAD_DIR = tmp_path / "uploads"
    settings.CADASTRE_BLOCK_DIR = tmp_path / "blocks"
    settings.CADASTRE_CONTENT_LIMITS = {"disk_reserve": 0}
    return tmp_path


@pytest.fixture
def limits(settings):
    """Set single limits: `limits(party_bytes=10)`."""

    def change(**figures):
        settings.CADASTRE_CONTENT_LIMITS = {**settings.CADASTRE_CONTENT_LIMITS, **figures}

    return change


class Clock:
    """A clock that a test turns; reading it takes a millisecond."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        self.now += timedelta(milliseconds=1)
        return self.now


class World:
    """A register without processes: the test is uploader, worker, signer and chain, one step at a time."""

    def __init__(self, var):
        self.clock = Clock()
        self.var = var
        self.stores = {"local": LocalBlocks(var / "blocks", reserve=0, durable=False)}
        self.store = self.stores["local"]
        self.identities = {}
        self.deployment = Deployment.objects.create(
            chain_id=31337, registry="0x" + "11" * 20, market="0x" + "22" * 20, anchor="0x" + "33" * 20,
            first_block=0, finalized=0, created_at=NOW,
        )  # fmt: skip

    def open(self, by=ADA, *, title="Photographs", **more):
        """Open and describe a submission."""
        row = submissions.open_submission(by=by, owner=OWNERS[by], now=self.clock(), **more)
        rights = [{"source": "my own camera", "basis": "own-work"}]
        return submissions.describe_submission(
            by=by, submission=row.id, now=self.clock(), title=title, creator="A creator", rights=rights
        )

    def add(self, submission, path, data, **more):
        """Announce and send one file."""
        by = submission.party
        file = submissions.add_file(
            by=by, submission=submission.id, path=path, size=len(data), now=self.clock(), **more
        )
        if data:
            file = submissions.append_bytes(by=by, file=file.id, offset=0, data=data, now=self.clock())
        return file

    def seal(self, submission):
        """Close the list of files."""
        return submissions.seal_file_list(by=submission.party, submission=submission.id, now=self.clock())

    def sign_keys(self):
        """What the signer does about content keys."""
        for key in ContentKey.objects.filter(state=KeyState.WANTED):
            identity = pyrage.x25519.Identity.generate()
            self.identities[key.submission_id, key.package_number] = identity
            ContentKey.objects.filter(id=key.id).update(
                state=KeyState.MADE, recipient=str(identity.to_public()), wrapped=b"wrapped"
            )

    def work(self, submission):
        """What workers and signer do until nothing is due."""
        for _ in range(20):
            submission.refresh_from_db()
            done = ingest.inspect_due(clock=self.clock, limit=100, scanner=SignatureScanner())
            done += packaging.store_due(self.store, clock=self.clock, limit=100)
            done += publication.advance(submission, now=self.clock(), stores=self.stores)
            done += ContentKey.objects.filter(state=KeyState.WANTED).count()
            self.sign_keys()
            if not done:
                break
        submission.refresh_from_db()
        return submission

    def submit(self, files, by=ADA, **more):
        """Open, upload and check: {path: bytes}."""
        submission = self.open(by, **more)
        for path, data in files.items():
            self.add(submission, path, data)
        self.seal(submission)
        return self.work(submission)

    def confirm(self, submission, **more):
        """The creator confirms what the review page shows."""
        submissions.confirm(
            by=submission.party, submission=submission.id, manifest=submission.manifest, now=self.clock(), **more
        )
        submission.refresh_from_db()
        return submission

    def register(self, submission, *, block=1, final=True):
        """What chain and follower do about a confirmed submission."""
        owner = submission.owner.rpartition(":")[2]
        place = {"tx": "0x" + "ab" * 32, "block_number": block, "block_hash": "0x" + f"{block:064x}"}
        if submission.purpose == "package":
            record = dataset_by_caip(submission.dataset)
        elif submission.version == 1:
            record = DatasetRecord.objects.create(
                deployment=self.deployment, token=DatasetRecord.objects.count() + 1, owner=owner, creator=owner,
                derive_bps=submission.derive_bps, versions=1, manifest=submission.manifest,
                registered_at=self.clock(), **place,
            )  # fmt: skip
        else:
            record = dataset_by_caip(submission.dataset)
            record.versions, record.manifest = submission.version, submission.manifest
            record.save()
        if submission.purpose == "version":
            VersionRecord.objects.create(
                deployment=self.deployment, dataset=record, token=record.token, version=submission.version,
                manifest=submission.manifest, published_at=self.clock(), **place,
            )  # fmt: skip
        PackageRecord.objects.create(
            deployment=self.deployment, dataset=record, token=record.token, version=submission.version,
            package=submission.package_number, digest=submission.package, **place,
        )  # fmt: skip
        if final:
            Deployment.objects.filter(id=self.deployment.id).update(finalized=block)
        return self.work(submission)

    def publish(self, files, by=ADA, **more):
        """Everything until the registration is final."""
        submission = self.submit(files, by, **more)
        assert submission.state == SubmissionState.AWAITING_CONFIRM, (submission.state, submission.refusal)
        self.confirm(submission)
        return self.register(submission)

    def repair(self):
        """Make the copies that are wanted."""
        pinning.repair_due(self.stores, now=self.clock())

    def open_package(self, submission):
        """Return the decrypted files of a sealed package by stored name."""
        identity = self.identities[submission.id, submission.package_number]
        return {
            name: pyrage.decrypt(b"".join(read_file(cid, self.store.get_block)), [identity])
            for name, cid in walk_files(Cid.parse(submission.package_root), self.store.get_block)
        }


@pytest.fixture
def world(var, db, settings):
    """A register of the test's own."""
    return World(var)
