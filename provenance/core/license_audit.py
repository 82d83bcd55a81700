"""The steps of verification that concern a license: what was bought stands in documents that cannot change any more."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from provenance.core.audit import Audit, AuditRefusal, NotChecked
from provenance.core.caip import Account, AssetKind
from provenance.core.canonical import Json
from provenance.core.digest import Sha256
from provenance.core.fields import Fields
from provenance.core.package import AGE_RECIPIENT
from provenance.core.statement import StatementType

CERTIFICATE_SCHEMA = "cadastre.certificate/1"
GRANT_SCHEMA = "cadastre.grant/1"
OFFER_SCHEMA = "cadastre.offer/1"
TERMS_SCHEMA = "cadastre.terms/1"

_CERTIFICATE_KEYS = (
    "license", "dataset", "version", "manifest", "package", "offer", "terms", "price", "fee", "token", "uses",
    "licensee", "start", "end", "tx", "block", "block_hash", "network",
)  # fmt: skip
_BOUGHT = ("dataset", "offer", "terms", "price", "fee", "token", "uses")
_NETWORK = re.compile(r"test|live")


def check_license(case: Audit) -> str:
    """Step 14."""
    certificate = _certificate(case)
    _check_purchase(case, certificate)
    offer = _object(case, certificate.digest("offer"), OFFER_SCHEMA)
    _check_offer(offer, certificate)
    _object(case, certificate.digest("terms"), TERMS_SCHEMA)
    _check_bytes(case, certificate)
    network = certificate.matching("network", _NETWORK, "test or live")
    note = " On a test network: no legal or monetary value." if network == "test" else ""
    return f"Certificate, entry, offer and terms agree.{note}"


def check_grant(case: Audit) -> str:
    """Step 15."""
    grant = _grant(case)
    license_name = str(case.bundle.license)
    _agree("grant.license", "The key was granted to another license.", license_name, grant.text("license", most=200))
    package = case.packages.get(grant.digest("package"))
    if package is None:
        raise AuditRefusal(
            "grant.package", "The granted package is not in the bundle.", actual=grant.digest("package").hex
        )
    version = _certificate(case).integer("version", low=1)
    _agree("grant.version", "The key is of another version.", str(version), str(package.version))
    grant.matching("recipient", AGE_RECIPIENT, "an age X25519 recipient")
    digest = case.bundle.grant
    for _, statement in case.standing(StatementType.KEY_GRANTED, license_name):
        if digest is not None and statement.body["grant"] == digest.hex:
            said = str(statement.body["package"])
            _agree("grant.entry", "The log names another package.", said, grant.digest("package").hex)
            return "The grant is the one in the log."
    raise AuditRefusal("grant.unlogged", "The grant is not in the log.", actual=None if digest is None else digest.hex)


def check_grant_opens(case: Audit) -> str:
    """Step 16."""
    grant = _grant(case)
    if case.auditor.open_grant is None:
        raise NotChecked("grant.no_identity", "No identity was given to open the grant.")
    package = case.packages.get(grant.digest("package"))
    try:
        sealed = base64.b64decode(grant.text("sealed_key", most=100_000), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuditRefusal("grant.base64", "The sealed key is not base64.") from error
    recipient = case.auditor.open_grant(sealed)
    expected = "" if package is None else str(package.recipient)
    _agree("grant.key", "The key inside is not the package's.", expected, recipient)
    return "The grant opens the key of the package."


def check_license_on_chain(case: Audit) -> str:
    """Step 21."""
    certificate = _certificate(case)
    name, market = case.bundle.license, case.policy.deployment.market
    if name is None or name.contract != market or name.number is None:
        raise AuditRefusal("license.market", "The license is of another market.", limit=market, actual=str(name))
    state = case.chain.license(name.number)
    if state is None:
        raise AuditRefusal("license.unknown", "The chain knows no such license.", actual=str(name))
    dataset = certificate.asset("dataset", AssetKind.DATASET)
    _agree("license.dataset", "The license is for another dataset.", str(state.dataset), str(dataset.number))
    licensee = certificate.account("licensee")
    _agree("license.licensee", "The license is somebody else's.", state.licensee, licensee.address)
    _agree("license.end", "The license ends at another time.", str(state.end), str(_end(certificate)))
    if not state.active:
        raise AuditRefusal("license.ended", "The license is no longer active on chain.", actual=str(name))
    return f"License {name.number} is active and belongs to {licensee.address}."


def _check_purchase(case: Audit, certificate: Fields) -> None:
    """The certificate repeats the entry, and names the event that the entry is about."""
    _agree(
        "license.name", "The certificate is of another license.", str(case.bundle.license), certificate.text("license")
    )
    _agree(
        "license.dataset", "The license is for another dataset.", str(case.bundle.dataset), certificate.text("dataset")
    )
    bought = case.standing(StatementType.LICENSE_PURCHASED, str(case.bundle.license))
    if len(bought) != 1:
        raise AuditRefusal("license.entry", "The purchase stands in the log once.", limit=1, actual=len(bought))
    statement = bought[0][1]
    for key in _BOUGHT:
        said, shown = _plain(statement.body[key]), _plain(certificate.members[key])
        _agree(f"license.{key}", f"The certificate's {key} is not the log's.", said, shown)
    place = statement.chain
    if place is None:
        raise AuditRefusal("license.place", "The purchase names no event on chain.")
    shown = f"{certificate.hash32('tx')} {certificate.integer('block')} {certificate.hash32('block_hash')}"
    _agree(
        "license.place", "The certificate names another event.", f"{place.tx} {place.block} {place.block_hash}", shown
    )
    _end(certificate)


def _check_offer(offer: Mapping[str, Json], certificate: Fields) -> None:
    """The terms that were bought are those of the signed offer, for this dataset, version, price and buyer."""
    for key in ("dataset", "version", "manifest", "terms", "price", "token"):
        said, shown = _plain(offer.get(key)), _plain(certificate.members[key])
        _agree(f"offer.{key}", f"The certificate's {key} is not the offer's.", said, shown)
    licensee = offer.get("licensee")
    if licensee is not None:
        said = str(Account.parse(str(licensee)))
        _agree("offer.licensee", "The offer was made to somebody else.", said, str(certificate.account("licensee")))


def _check_bytes(case: Audit, certificate: Fields) -> None:
    manifest, package = certificate.digest("manifest"), certificate.digest("package")
    version = certificate.integer("version", low=1)
    if manifest not in case.manifests or case.manifests[manifest].version != version:
        raise AuditRefusal("license.manifest", "The licensed version is not in the bundle.", actual=manifest.hex)
    if package not in case.packages or case.packages[package].manifest != manifest:
        raise AuditRefusal("license.package", "The licensed package is not in the bundle.", actual=package.hex)


def _certificate(case: Audit) -> Fields:
    digest = case.bundle.certificate
    if digest is None:
        raise NotChecked("license.none", "The bundle is not about a license.")
    case.entries  # noqa: B018  # a certificate means nothing beside entries that are not proved
    return Fields.of(case.bundle.document(digest), "certificate", _CERTIFICATE_KEYS, schema=CERTIFICATE_SCHEMA)


def _grant(case: Audit) -> Fields:
    digest = case.bundle.grant
    if digest is None:
        raise NotChecked("grant.none", "The bundle holds no key; open data needs none.")
    keys = ("license", "package", "recipient", "sealed_key")
    return Fields.of(case.bundle.document(digest), "grant", keys, schema=GRANT_SCHEMA)


def _object(case: Audit, digest: Sha256, schema: str) -> Mapping[str, Json]:
    document = case.bundle.document(digest)
    if not isinstance(document, Mapping) or document.get("schema") != schema:
        raise AuditRefusal(
            "license.schema", "A document is not what the certificate calls it.", limit=schema, actual=digest.hex
        )
    return document


def _end(certificate: Fields) -> int:
    """Return the end as the market stores it: Unix seconds, 0 for perpetual."""
    start = certificate.time("start")
    if certificate.members["end"] is None:
        return 0
    end: datetime = certificate.time("end")
    if end <= start:
        raise AuditRefusal("license.term", "The license ends before it starts.", limit=str(start), actual=str(end))
    return int(end.replace(tzinfo=UTC).timestamp())


def _plain(value: Json) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(sorted(map(str, value)))
    return str(value)


def _agree(code: str, message: str, expected: str, actual: str) -> None:
    if expected != actual:
        raise AuditRefusal(code, message, limit=expected, actual=actual)
