"""The steps of verification that concern content: versions, packages, rights, copies, availability, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provenance.core.audit import Audit, AuditRefusal, NotChecked, Withheld, check_same
from provenance.core.bundle import BundleKind
from provenance.core.canonical import Json
from provenance.core.digest import Sha256
from provenance.core.entry import PersonSignature, rights_attestation
from provenance.core.file_record import records_of_list
from provenance.core.manifest import Manifest
from provenance.core.package import Package
from provenance.core.statement import Statement, StatementType
from provenance.core.typed_data import Domain

DOMAIN_NAME = "Cadastre Registry"


@dataclass(frozen=True, slots=True)
class _Registered:
    """What the log says of a dataset: its registration, its versions by manifest, and all owners it ever had."""

    first: Statement
    versions: Mapping[str, Statement]
    owners: frozenset[str]


def check_content(case: Audit) -> str:
    """Step 10."""
    subject = str(case.bundle.dataset)
    registered = case.standing(StatementType.DATASET_REGISTERED, subject)
    if len(registered) != 1:
        raise AuditRefusal("content.registration", "The dataset is registered once.", limit=1, actual=len(registered))
    versions = [each for _, each in case.standing(StatementType.VERSION_PUBLISHED, subject)]
    packages = [each for _, each in case.standing(StatementType.PACKAGE_MADE, subject)]
    first = registered[0][1]
    moved = [each for _, each in case.standing(StatementType.DATASET_TRANSFERRED, subject)]
    owners = frozenset({str(first.body["owner"]), *(str(each.body["to"]) for each in moved)})
    log = _Registered(first, {str(each.body["manifest"]): each for each in versions}, owners)
    for digest, manifest in case.manifests.items():
        _check_version(case, log, digest, manifest)
    for digest, package in case.packages.items():
        _check_package(case, packages, digest, package)
    _check_all_shown(case, versions, packages)
    return f"{len(case.manifests)} versions and {len(case.packages)} packages are those of the log."


def check_rights(case: Audit) -> str:
    """Step 11."""
    deployment = case.policy.deployment
    domain = Domain(DOMAIN_NAME, deployment.chain, deployment.registry)
    asked = 0
    for digest, manifest in _shown_manifests(case).items():
        for index, statement in case.standing(StatementType.RIGHTS_ATTESTED, f"sha256:{digest}"):
            said = (statement.body["manifest"], statement.body["owner"], statement.body["bases"])
            if said == (digest.hex, str(manifest.owner), list(manifest.bases)):
                wanted = rights_attestation(domain, manifest.owner.address, digest).digest
                asked += _check_attested(case.entries[index].people, manifest, wanted)
                break
        else:
            raise AuditRefusal(
                "rights.unattested", "The owner did not attest the rights of a version.", actual=digest.hex
            )
    if asked:
        raise NotChecked("rights.wallet", "A contract wallet attested the rights; it was not asked.")
    return f"The owners attested the rights of {len(case.manifests)} versions."


def check_copies(case: Audit) -> str:
    """Step 12. Registered on chain is not listed: what was never compared is not checked."""
    results: list[str] = []
    for digest, manifest in _shown_manifests(case).items():
        passed = [
            statement
            for _, statement in case.standing(StatementType.GATE_PASSED, f"sha256:{digest}")
            if statement.body["owner"] == str(manifest.owner)
        ]
        if not passed:
            raise NotChecked("copies.none", f"Version {manifest.version} was not compared with other datasets.")
        body = passed[-1].body
        results.append(f"version {manifest.version} with {body['compared']} others: {body['result']}")
    return f"Compared {'; '.join(results)}."


def check_availability(case: Audit) -> str:
    """Step 13."""
    subject = str(case.bundle.dataset)
    shown = {manifest.version for manifest in case.manifests.values()}
    for kind, word in ((StatementType.CONTENT_ERASED, "erased"), (StatementType.CONTENT_WITHHELD, "withheld")):
        for index, statement in case.standing(kind, subject):
            version = statement.body["version"]
            if version is None or version in shown:
                raise Withheld("content.withheld", f"{word} by entry {index}: {statement.body['reason']}")
    return "Nothing in this bundle says that the content is withheld."


def check_files(case: Audit) -> str:
    """Step 22."""
    if case.auditor.check_files is None:
        raise NotChecked("files.none", "No files were given to compare.")
    if not case.packages:
        raise AuditRefusal("files.no_package", "The bundle names no stored bytes.")
    package = max(case.packages.values(), key=lambda each: (each.version, each.number))
    manifest = case.manifests.get(package.manifest)
    if manifest is None:
        raise AuditRefusal(
            "files.no_manifest", "The package's manifest is not in the bundle.", actual=package.manifest.hex
        )
    return case.auditor.check_files(manifest, package)


def _check_version(case: Audit, log: _Registered, digest: Sha256, manifest: Manifest) -> None:
    statement = log.versions.get(digest.hex)
    if statement is None:
        raise AuditRefusal("content.manifest", "A manifest is of no version in the log.", actual=digest.hex)
    check_same(
        "content.version", "A manifest is of another version.", str(statement.body["version"]), str(manifest.version)
    )
    if str(manifest.owner) not in log.owners:
        raise AuditRefusal(
            "content.owner", "A manifest is of somebody who never owned the dataset.", actual=str(manifest.owner)
        )
    if manifest.version == 1:
        check_same("content.owner", "Version 1 is of another owner.", str(log.first.body["owner"]), str(manifest.owner))
        check_same(
            "content.first", "The registration names another manifest.", str(log.first.body["manifest"]), digest.hex
        )
    registered = [parent["dataset"] for parent in _objects(log.first.body["parents"])]
    check_same(
        "content.parents", "The manifest names other parents than the registration.",
        str(sorted(map(str, registered))), str([str(parent) for parent in manifest.parents]),
    )  # fmt: skip
    if (
        manifest.previous is not None
        and manifest.previous not in case.manifests
        and manifest.previous.hex not in log.versions
    ):
        raise AuditRefusal(
            "content.previous", "A manifest follows one that the log does not know.", actual=manifest.previous.hex
        )
    for follower in case.manifests.values():
        if follower.version == manifest.version + 1:
            check_same("content.previous", "A version follows another one.", digest.hex, str(follower.previous))
    lists = [each for each in manifest.file_lists or () if each in case.bundle.documents]
    if lists and manifest.file_lists is not None and len(lists) == len(manifest.file_lists):
        manifest.check_files([record for each in lists for record in records_of_list(case.bundle.document(each))])


def _check_package(case: Audit, made: Sequence[Statement], digest: Sha256, package: Package) -> None:
    said = (package.version, package.number, package.kind.value)
    for statement in made:
        body = statement.body
        if body["digest"] == digest.hex:
            check_same(
                "content.package", "A package is another one than the log says.",
                str((body["version"], body["package"], body["kind"])), str(said),
            )  # fmt: skip
            break
    else:
        raise AuditRefusal("content.package", "A package is not in the log.", actual=digest.hex)
    manifest = case.manifests.get(package.manifest)
    if manifest is not None:
        check_same(
            "content.package_version", "A package is of another version.", str(manifest.version), str(package.version)
        )
        check_same(
            "content.package_kind", "A package is stored otherwise.", manifest.visibility.value, package.kind.value
        )


def _check_all_shown(case: Audit, versions: Sequence[Statement], packages: Sequence[Statement]) -> None:
    """A trail shows every version and package; a license bundle those of the certificate (`license_audit`)."""
    if case.bundle.kind is BundleKind.LICENSE:
        return
    shown = {digest.hex for digest in (*case.manifests, *case.packages)}
    for statement, key in [(each, "manifest") for each in versions] + [(each, "digest") for each in packages]:
        if statement.body[key] not in shown:
            raise AuditRefusal(
                "content.missing", "A document of the trail is missing.", actual=str(statement.body[key])
            )


def _check_attested(people: Sequence[PersonSignature], manifest: Manifest, wanted: bytes) -> int:
    """Return 1 when only a contract wallet signed, which is not asked here, else 0."""
    owner = [each for each in people if each.role == "owner" and each.signer == manifest.owner]
    if not any(each.digest == wanted for each in owner):
        raise AuditRefusal("rights.digest", "The owner signed something else.", limit=wanted.hex())
    return int(not any(each.is_of_a_key and each.digest == wanted for each in owner))


def _shown_manifests(case: Audit) -> dict[Sha256, Manifest]:
    if not case.manifests:
        raise AuditRefusal("content.no_manifest", "The bundle shows no version of the dataset.", limit=1, actual=0)
    return case.manifests


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, (list, tuple)) else []
