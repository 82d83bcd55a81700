"""From checked plaintext to a package in the content store, and to the documents that say what it is.

For every file, in any worker, safe twice and twice at once (`store_due`):

1. Read the scratch file once; seal it to the package's recipient, or take it as it is (`sealing`).
2. Store each block as it comes; the store checks it against its CID.
3. Compare the plaintext's SHA-256 with what the copy check saw: what is sold is what was checked.

Then once per package (`finish_package`):

4. Sort the file records, take the root of the salted tree, write the public manifest.
5. Sealed data: encrypt the private manifest to the same recipient and store it beside the files.
6. Store the folder, write the package document.

Documents stay private here until the creator has confirmed them. A content key is never seen here: age needs the
recipient alone. Plaintext stays in scratch space until the registration is final, so that a retry works.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from provenance.core import package as core
from provenance.core.caip import Account
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.file_record import FileRecord
from provenance.core.package import Package, PackageKind, manifest_name
from provenance.core.private_manifest import private_manifests
from provenance.core.refusal import Refusal
from provenance.core.unixfs.directory import build_tree
from provenance.core.unixfs.file import FileHasher
from provenance.core.unixfs.profile import BlockSink, Node
from provenance.description import PublicManifest, public_manifest
from provenance.leases import ATTEMPTS, Clock, Lease, LeaseLost, free, take
from provenance.models import (
    ContentKey,
    Document,
    FileState,
    KeyState,
    Submission,
    SubmissionState,
    SubmittedFile,
)
from provenance.paths import shown
from provenance.ports import ContentStore, StoreRefusal
from provenance.sealing import seal_bytes, store_stream
from provenance.transitions import move
from provenance.uploads import scratch_path

FILES_AT_ONCE = 8


class PackagingRefusal(Refusal):
    """A file or package cannot be stored as it should be."""


def store_due(store: ContentStore, *, clock: Clock, limit: int = FILES_AT_ONCE) -> int:
    """Store files of submissions that passed the copy check; return how many were worked on."""
    due = (
        SubmittedFile.objects.select_related("submission")
        .filter(free(clock()), state=FileState.INSPECTED, submission__state=SubmissionState.SEALING)
        .order_by("changed")[:limit]
    )
    return sum(store_file(file, store, clock=clock) for file in due)


def store_file(file: SubmittedFile, store: ContentStore, *, clock: Clock) -> bool:
    """Seal and store one file if nobody else does; say whether this call worked on it.

    A cause outside of the file (disk full, store down) is kept and tried again for ever.
    """
    recipient = _recipient(file.submission)
    if file.submission.visibility == "sealed" and recipient is None:
        return False
    lease = take(file, clock=clock)
    if lease is None:
        return False
    try:
        _store(lease, store, recipient)
    except LeaseLost:
        return True
    except StoreRefusal as refusal:
        lease.fail(refusal)
    except (Refusal, OSError) as error:
        lease.end("seal", failed=True, state=FileState.REFUSED, refusal=_as_refusal(file, error).as_problem())
        lease.give_back()
    else:
        lease.give_back()
    return True


def finish_package(submission: Submission, store: ContentStore, *, now: datetime) -> bool:
    """Write documents and folder once every file is stored; say whether this call moved the submission on.

    Raises StateMoved when somebody else finished it meanwhile, StoreRefusal when the store cannot take the folder.
    """
    files = list(submission.files.all())
    if not files or any(file.state != FileState.STORED for file in files):
        return False
    key = _content_key(submission)
    public = public_manifest(submission, files)
    nodes = [(file.stored_name, _node(file)) for file in files]
    if key is not None:
        nodes += _store_private_manifest(public, key.recipient, store.put_block)
    root = build_tree(nodes, store.put_block)
    package = _package(submission, public, root, nodes, key)
    with transaction.atomic():
        for schema, data in (*public.documents, (core.SCHEMA, package.to_bytes())):
            Document.create_from_bytes(data, schema=schema, public=False)
        if key is not None:
            ContentKey.objects.filter(id=key.id).update(package=package.digest.hex, changed=now)
        move(
            submission, from_state=SubmissionState.SEALING, to_state=SubmissionState.PACKAGED, now=now,
            manifest=public.digest, files_root=public.manifest.files_root.hex, package=package.digest.hex,
            package_root=str(root.cid),
        )  # fmt: skip
    return True


def want_content_key(submission: Submission, *, now: datetime) -> None:
    """Ask the signer for the content key of the submission's package; asking twice is asking once."""
    ContentKey.objects.get_or_create(
        submission=submission, package_number=submission.package_number, defaults={"created": now, "changed": now}
    )


def _store(lease: Lease, store: ContentStore, recipient: str | None) -> None:
    file = lease.file
    if lease.is_hopeless:
        raise PackagingRefusal(
            "package.failed", f"Sealing {shown(file.path)} ended its worker again and again.", limit=ATTEMPTS,
            actual=file.attempts, todo="Tell the operator; the worker's log has the cause.",
        )  # fmt: skip
    lease.begin(seal=file.size)
    with scratch_path(file).open("rb") as source:
        stored = store_stream(
            source, recipient=recipient, sink=store.put_block, progress=lambda done: lease.progress("seal", done)
        )
    if (stored.sha256, stored.size) != (file.sha256, file.size):
        raise PackagingRefusal(
            "package.changed", f"{shown(file.path)} is no longer what was checked.", limit=file.sha256,
            actual=stored.sha256, todo="Remove the submission and upload again.",
        )  # fmt: skip
    lease.end(
        "seal",
        state=FileState.STORED,
        stored_name=_stored_name(file) if recipient else file.path,
        stored_cid=str(stored.node.cid),
        stored_size=stored.node.size,
        stored_dag_size=stored.node.tsize,
        refusal=None,
        attempts=0,
    )


def _content_key(submission: Submission) -> ContentKey | None:
    if submission.visibility == "open":
        return None
    return ContentKey.objects.get(submission=submission, package_number=submission.package_number, state=KeyState.MADE)


def _recipient(submission: Submission) -> str | None:
    found = ContentKey.objects.filter(
        submission=submission, package_number=submission.package_number, state=KeyState.MADE
    ).first()
    return found.recipient if found else None


def _node(file: SubmittedFile) -> Node:
    if file.stored_size is None or file.stored_dag_size is None:
        raise PackagingRefusal("package.incomplete", f"{shown(file.path)} is not stored.")
    return Node(Cid.parse(file.stored_cid), file.stored_dag_size, file.stored_size)


def _stored_name(file: SubmittedFile) -> str:
    digest, salt = Sha256.from_hex(file.sha256), bytes.fromhex(file.salt)
    return FileRecord(file.path, file.size, digest, file.media_type, file.records, salt).stored_name


def _store_private_manifest(public: PublicManifest, recipient: str, sink: BlockSink) -> list[tuple[str, Node]]:
    nodes = []
    for number, part in enumerate(private_manifests(public.manifest, public.records)):
        hasher = FileHasher(sink)
        hasher.update(seal_bytes(part.to_bytes(), recipient))
        nodes.append((manifest_name(number), hasher.finish()))
    return nodes


def _package(
    submission: Submission, public: PublicManifest, root: Node, nodes: list[tuple[str, Node]], key: ContentKey | None
) -> Package:
    return Package(
        owner=Account.parse(submission.owner),
        manifest=public.manifest.digest,
        version=submission.version,
        number=submission.package_number,
        kind=PackageKind.OPEN if key is None else PackageKind.SEALED,
        root=root.cid,
        recipient=None if key is None else key.recipient,
        files=len(nodes),
        stored_bytes=sum(node.size for _, node in nodes),
    )


def _as_refusal(file: SubmittedFile, error: Refusal | OSError) -> Refusal:
    if isinstance(error, Refusal):
        return error
    return PackagingRefusal(
        "package.unreadable", f"{shown(file.path)} cannot be read: {error.strerror}.", todo="Upload it again."
    )
