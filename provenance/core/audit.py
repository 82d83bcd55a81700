"""What one verification knows: the bundle, the policy, what the auditor brings, and what has been proved so far.

A step that needs entries which an earlier step has refused is not checked: the earlier one names the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from provenance.core.bundle import Bundle
from provenance.core.canonical import Json
from provenance.core.chain_checks import ChainReader
from provenance.core.checkpoint import Checkpoint
from provenance.core.digest import Sha256
from provenance.core.entry import Entry
from provenance.core.manifest import SCHEMA as MANIFEST_SCHEMA
from provenance.core.manifest import Manifest
from provenance.core.package import SCHEMA as PACKAGE_SCHEMA
from provenance.core.package import Package
from provenance.core.policy import Policy
from provenance.core.refusal import Refusal
from provenance.core.statement import Statement, StatementType


class AuditRefusal(Refusal):
    """Two things in a bundle contradict each other, or one that must be there is not."""


class NotChecked(Refusal):
    """A step could not be made: what it needs was not given."""


class Withheld(Refusal):
    """The content may not be delivered, by an entry that is named; the record stands."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """What the auditor brings. Each may be absent; then its steps are not checked.

    `open_grant` takes the sealed key of the grant and returns the age recipient of the key inside. `check_files` takes
    manifest and package and returns in words what was compared. Both raise Refusal.
    """

    chain: ChainReader | None = None
    open_grant: Callable[[bytes], str] | None = None
    check_files: Callable[[Manifest, Package], str] | None = None


@dataclass
class Audit:
    """One verification: the bundle, what is insisted on, and what has been established so far."""

    bundle: Bundle
    policy: Policy
    auditor: Auditor
    checkpoint: Checkpoint | None = None
    included: bool = False

    @cached_property
    def all_entries(self) -> dict[int, Entry]:
        """Every entry by index, decoded, whether or not its inclusion is proved."""
        return {entry.index: Entry.parse(entry.data) for entry in self.bundle.entries}

    @property
    def entries(self) -> Mapping[int, Entry]:
        """The proved entries by index. Raises NotChecked when they are not."""
        if not self.included:
            raise NotChecked("verify.needs_inclusion", "The entries are not proved to be in the log.")
        return self.all_entries

    @property
    def chain(self) -> ChainReader:
        """The auditor's chain. Raises NotChecked without one, AuditRefusal when it is another chain."""
        reader = self.auditor.chain
        if reader is None:
            raise NotChecked("verify.no_chain", "No chain was asked.", todo="Give an RPC address of your own.")
        if reader.chain_id != self.policy.deployment.chain:
            raise AuditRefusal(
                "chain.other",
                "The node serves another chain.",
                limit=self.policy.deployment.chain,
                actual=reader.chain_id,
                todo="Give an RPC address of the right chain.",
            )
        return reader

    @cached_property
    def retracted(self) -> frozenset[int]:
        """Indices of entries that a later entry retracts."""
        return frozenset(
            entry
            for index, statement in self.of_type(StatementType.FACT_RETRACTED)
            if isinstance(entry := statement.body["entry"], int) and entry < index
        )

    def of_type(self, kind: StatementType, subject: str | None = None) -> Iterator[tuple[int, Statement]]:
        """Yield (index, statement) of the proved entries of a type, and about a subject, in order."""
        for index, entry in self.entries.items():
            if entry.statement.type == kind and subject in {None, entry.statement.subject}:
                yield index, entry.statement

    def standing(self, kind: StatementType, subject: str | None = None) -> list[tuple[int, Statement]]:
        """Return those that were not retracted."""
        return [(index, each) for index, each in self.of_type(kind, subject) if index not in self.retracted]

    @cached_property
    def manifests(self) -> dict[Sha256, Manifest]:
        """The manifests among the documents, by digest."""
        return {
            digest: Manifest.from_document(document) for digest, document in _of_schema(self.bundle, MANIFEST_SCHEMA)
        }

    @cached_property
    def packages(self) -> dict[Sha256, Package]:
        """The package documents, by digest."""
        return {digest: Package.from_document(document) for digest, document in _of_schema(self.bundle, PACKAGE_SCHEMA)}


def _of_schema(bundle: Bundle, schema: str) -> Iterator[tuple[Sha256, Json]]:
    for digest in bundle.documents:
        document = bundle.document(digest)
        if isinstance(document, Mapping) and document.get("schema") == schema:
            yield digest, document


def check_same(code: str, message: str, expected: str, actual: str) -> None:
    """Raise AuditRefusal with both values unless they are equal."""
    if expected != actual:
        raise AuditRefusal(code, message, limit=expected, actual=actual)
