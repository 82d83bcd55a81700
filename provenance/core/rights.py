"""Rights basis: for each source of the data, why its owner may offer it. *Unknown* is an answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from provenance.core.canonical import Json
from provenance.core.fields import Fields
from provenance.core.refusal import Refusal

_RIGHTS_KEYS = ("source", "basis", "from", "sublicensing", "license", "legal_basis", "model", "evidence")


class RightsRefusal(Refusal):
    """A rights statement leaves out what its basis needs."""


class Basis(StrEnum):
    """Why the owner may offer what comes from a source."""

    OWN_WORK = "own-work"
    COMMISSIONED = "commissioned"
    LICENSED = "licensed"
    OPEN_LICENSE = "open-license"
    WEB = "web"
    PERSONAL_DATA = "personal-data"
    SYNTHETIC = "synthetic"
    UNKNOWN = "unknown"


_NEEDED = {
    Basis.LICENSED: "licensed_from",
    Basis.OPEN_LICENSE: "license",
    Basis.PERSONAL_DATA: "legal_basis",
    Basis.SYNTHETIC: "model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """The rights basis of one source. `license` is an SPDX id; `sublicensing` None means unknown."""

    source: str
    basis: Basis
    licensed_from: str | None = None
    sublicensing: bool | None = None
    license: str | None = None
    legal_basis: str | None = None
    model: str | None = None
    evidence: str | None = None

    def __post_init__(self) -> None:
        needed = _NEEDED.get(self.basis)
        if needed is not None and not getattr(self, needed):
            raise RightsRefusal(
                "rights.incomplete",
                f"The basis {self.basis} needs {needed.replace('licensed_from', 'from')}.",
                actual=self.source[:80],
                todo="Say it, or choose the basis unknown.",
            )

    @classmethod
    def from_document(cls, value: Json) -> Self:
        """Read a rights statement. Raises RightsRefusal, FieldRefusal."""
        fields = Fields.of(value, "rights", _RIGHTS_KEYS)
        return cls(
            source=fields.text("source", least=1, most=300),
            basis=fields.member("basis", Basis),
            licensed_from=fields.text_or_none("from", least=1, most=300),
            sublicensing=fields.flag_or_none("sublicensing"),
            license=fields.text_or_none("license", least=1, most=100),
            legal_basis=fields.text_or_none("legal_basis", least=1, most=300),
            model=fields.text_or_none("model", least=1, most=300),
            evidence=fields.text_or_none("evidence", least=1, most=1000),
        )

    def to_document(self) -> dict[str, Json]:
        return {
            "source": self.source,
            "basis": self.basis.value,
            "from": self.licensed_from,
            "sublicensing": self.sublicensing,
            "license": self.license,
            "legal_basis": self.legal_basis,
            "model": self.model,
            "evidence": self.evidence,
        }
