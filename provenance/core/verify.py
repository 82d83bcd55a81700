"""The offline verifier: what a bundle proves, step by step, to somebody who trusts only their own pinned keys.

1. bundle       The file is a bundle in canonical form.
2. keys         Log key, service key and contracts are the pinned ones.
3. checkpoint   The pinned log key signed the head that all proofs lead to.
4. documents    Each document has the digest that it is filed under, hence the CID, and is canonical.
5. inclusion    Each entry is in the log at its index.
6. service      The pinned service key signed each statement.
7. people       Each signature of a person is by the key that it names.
8. statements   Each statement is of a type that is known here; others are proved, but their meaning is not checked.
9. links        `previous` leads to the latest earlier entry about the same subject; in a trail none is missing.
10. content     Registration, versions and packages are those of the documents; open files have the stated root.
11. rights      The owner named in each manifest attested its rights.
12. copy-check  Each version was compared with everything registered before it.
13. availability  Nothing was withheld or erased; else the entry that says so is named.
14. license     Certificate, entry, offer and terms agree: the terms are those that were bought.
15. key-grant   The grant is the one in the log, for this license and a package of its version.
16. key-opens   The grant opens and gives the key of that package.
17. nothing-left-out  There is no other entry about the dataset, up to the checkpoint.
18. consistency Each head, anchored or signed, contains the one before it.
19. anchors-on-chain  The anchors stand on chain as the bundle says.
20. facts-on-chain  Statements about events are those events, and final.
21. license-on-chain  The license is active, and its licensee is the certificate's.
22. files       The bytes at hand are those of the version.

A step passes, fails, or is *not checked*, with the reason in words. `log_audit.py`, `content_audit.py` and
`license_audit.py` hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provenance.core import content_audit, license_audit, log_audit
from provenance.core.audit import Audit, Auditor, NotChecked, Withheld
from provenance.core.bundle import Bundle, BundleKind
from provenance.core.chain_checks import ChainUnavailable
from provenance.core.policy import LICENSE_ONLY, Outcome, Policy, Step, StepResult, Verdict
from provenance.core.refusal import Refusal

Check = Callable[[Audit], str]
"""Returns what was found in words; raises Refusal to fail, NotChecked or Withheld to say so."""

CHECKS: tuple[tuple[Step, Check], ...] = (
    (Step.KEYS, log_audit.check_keys),
    (Step.CHECKPOINT, log_audit.check_checkpoint),
    (Step.DOCUMENTS, log_audit.check_documents),
    (Step.INCLUSION, log_audit.check_inclusion),
    (Step.SERVICE, log_audit.check_service_signatures),
    (Step.PEOPLE, log_audit.check_people_signatures),
    (Step.STATEMENTS, log_audit.check_statements),
    (Step.LINKS, log_audit.check_links),
    (Step.CONTENT, content_audit.check_content),
    (Step.RIGHTS, content_audit.check_rights),
    (Step.COPY_CHECK, content_audit.check_copies),
    (Step.AVAILABILITY, content_audit.check_availability),
    (Step.LICENSE, license_audit.check_license),
    (Step.GRANT, license_audit.check_grant),
    (Step.GRANT_OPENS, license_audit.check_grant_opens),
    (Step.COMPLETENESS, log_audit.check_completeness),
    (Step.CONSISTENCY, log_audit.check_consistency),
    (Step.ANCHORS, log_audit.check_anchors),
    (Step.FACTS, log_audit.check_facts),
    (Step.LICENSE_ON_CHAIN, license_audit.check_license_on_chain),
    (Step.FILES, content_audit.check_files),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What verification found. `bundle` is None when the file is no bundle."""

    verdict: Verdict
    results: tuple[StepResult, ...]
    bundle: Bundle | None

    def to_document(self) -> list[dict[str, str | int]]:
        """Return the steps for `--json` and reports: number, step, result, detail."""
        return [
            {"number": each.number, "step": each.step, "result": each.outcome.value, "detail": each.detail}
            for each in self.results
        ]


def verify_bundle(
    data: bytes,
    policy: Policy,
    auditor: Auditor | None = None,
    *,
    additional: Sequence[tuple[str, Check]] = (),
) -> Report:
    """Verify the bytes of a bundle under a policy; never raises for what the bundle says.

    `auditor` brings what the file cannot: the auditor's chain, the key that opens the grant, the files at hand. What it
    does not bring is reported as not checked. `additional` steps, such as the rules of trade about an offer, run last
    and can only fail the verdict.
    """
    try:
        bundle = Bundle.parse(data)
    except Refusal as refusal:
        failed = StepResult(1, Step.BUNDLE, Outcome.FAIL, str(refusal))
        return Report(Verdict.FAIL, (failed,), None)
    subject = "license" if bundle.kind is BundleKind.LICENSE else "trail"
    results = [StepResult(1, Step.BUNDLE, Outcome.PASS, f"A {subject} bundle of {len(bundle.entries)} entries.")]
    case = Audit(bundle, policy, auditor or Auditor())
    for step, check in CHECKS:
        if bundle.kind is BundleKind.TRAIL and step in LICENSE_ONLY:
            continue
        results.append(_run(len(results) + 1, step, check, case))
    for name, check in additional:
        results.append(_run(len(results) + 1, name, check, case))
    return Report(policy.judge(results, bundle.kind), tuple(results), bundle)


def _run(number: int, step: str, check: Check, case: Audit) -> StepResult:
    try:
        return StepResult(number, step, Outcome.PASS, check(case))
    except Withheld as withheld:
        return StepResult(number, step, Outcome.WITHHELD, withheld.message)
    except (NotChecked, ChainUnavailable) as skipped:
        return StepResult(number, step, Outcome.NOT_CHECKED, str(skipped))
    except Refusal as refusal:
        return StepResult(number, step, Outcome.FAIL, str(refusal))
