"""What an auditor insists on: pinned keys and contracts, and the steps that must have passed.

An empty set of required steps is no policy and is refused: nothing would pass everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from provenance.core.bundle import BundleKind, Deployment
from provenance.core.checkpoint import VerifierKey
from provenance.core.refusal import Refusal


class PolicyRefusal(Refusal):
    """A policy that would accept anything."""


class Step(StrEnum):
    """The steps of verification, in their order."""

    BUNDLE = "bundle"
    KEYS = "keys"
    CHECKPOINT = "checkpoint"
    DOCUMENTS = "documents"
    INCLUSION = "inclusion"
    SERVICE = "service-signatures"
    PEOPLE = "people-signatures"
    STATEMENTS = "statements"
    LINKS = "links"
    CONTENT = "content"
    RIGHTS = "rights"
    COPY_CHECK = "copy-check"
    AVAILABILITY = "availability"
    LICENSE = "license"
    GRANT = "key-grant"
    GRANT_OPENS = "key-opens"
    COMPLETENESS = "nothing-left-out"
    CONSISTENCY = "consistency"
    ANCHORS = "anchors-on-chain"
    FACTS = "facts-on-chain"
    LICENSE_ON_CHAIN = "license-on-chain"
    FILES = "files"


LICENSE_ONLY = frozenset({Step.LICENSE, Step.GRANT, Step.GRANT_OPENS, Step.LICENSE_ON_CHAIN})

OFFLINE = frozenset(
    {
        Step.BUNDLE, Step.KEYS, Step.CHECKPOINT, Step.DOCUMENTS, Step.INCLUSION, Step.SERVICE, Step.PEOPLE, Step.LINKS,
        Step.CONTENT, Step.RIGHTS, Step.LICENSE, Step.CONSISTENCY,
    }
)  # fmt: skip
"""What a bundle proves by itself, given the pinned keys."""

ON_CHAIN = OFFLINE | {Step.ANCHORS, Step.FACTS, Step.LICENSE_ON_CHAIN}
"""What it proves together with the auditor's own view of the chain."""


class Outcome(StrEnum):
    """How a step ended. `withheld` is not a failure: the record stands, the content may not be delivered."""

    PASS = "pass"  # noqa: S105  # a verdict
    FAIL = "fail"
    NOT_CHECKED = "not checked"
    WITHHELD = "withheld"


class Verdict(StrEnum):
    """What all steps together mean under a policy."""

    PASS = "pass"  # noqa: S105  # a verdict
    FAIL = "fail"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: its number and name, how it ended, and why in words."""

    number: int
    step: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`anchor_sender`, a lower-case address, may be None: then anybody's anchor of the same heads counts."""

    vkey: VerifierKey
    service_key: bytes
    deployment: Deployment
    required: frozenset[Step]
    anchor_sender: str | None = None

    def __post_init__(self) -> None:
        if not self.required:
            raise PolicyRefusal(
                "policy.empty", "A policy that requires nothing would accept anything.", limit=1, actual=0,
                todo="Name the steps that must pass, such as the offline ones.",
            )  # fmt: skip

    def judge(self, results: Iterable[StepResult], kind: BundleKind | None) -> Verdict:
        """Return FAIL when any step failed, INCOMPLETE when a required one did not pass, else PASS.

        Steps about a license are not required of a trail. A bundle of unknown kind has already failed.
        """
        outcomes = {result.step: result.outcome for result in results}
        if not outcomes or Outcome.FAIL in outcomes.values():
            return Verdict.FAIL
        required = self.required - (LICENSE_ONLY if kind is BundleKind.TRAIL else frozenset())
        if not required or any(outcomes.get(step) is not Outcome.PASS for step in required):
            return Verdict.INCOMPLETE
        return Verdict.PASS
