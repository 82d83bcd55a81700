"""What well-known open licenses grant and ask for, in the words of our terms.

Only what their texts say outright. A license that is not in the table grants nothing here until somebody reads it:
*unknown* is a value. Ids are those of the SPDX License List (https://spdx.org/licenses/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from marketplace.core.terms import Terms, Use

_ALL_BUT_DERIVE = frozenset(Use) - {Use.DERIVE}


@dataclass(frozen=True, slots=True)
class OpenLicense:
    """An SPDX id and what it grants. `derive` False: changed copies may not be passed on."""

    spdx: str
    name: str
    commercial: bool = True
    derive: bool = True
    share_alike: bool = False
    attribution: bool = True

    @property
    def uses(self) -> frozenset[Use]:
        """The uses that the license grants."""
        return frozenset(Use) if self.derive else _ALL_BUT_DERIVE

    def terms(self, *, credit: str | None = None) -> Terms:
        """Return the license as terms. `credit` is the attribution text; licenses that ask for none drop it."""
        attribution = (credit or f"The creator of this dataset, {self.spdx}") if self.attribution else None
        return Terms(
            title=self.name,
            text=f"{self.name}. The full text: https://spdx.org/licenses/{self.spdx}.html",
            uses=self.uses,
            commercial=self.commercial,
            affiliates=True,
            publish_weights=True,
            transferable=True,
            attribution=attribution,
            share_alike=self.share_alike,
            all_versions=True,
            spdx=self.spdx,
        )


OPEN_LICENSES: Mapping[str, OpenLicense] = MappingProxyType(
    {
        license_.spdx: license_
        for license_ in (
            OpenLicense("CC0-1.0", "Creative Commons Zero 1.0", attribution=False),
            OpenLicense("PDDL-1.0", "Open Data Commons Public Domain Dedication 1.0", attribution=False),
            OpenLicense("Unlicense", "The Unlicense", attribution=False),
            OpenLicense("CC-BY-3.0", "Creative Commons Attribution 3.0"),
            OpenLicense("CC-BY-4.0", "Creative Commons Attribution 4.0"),
            OpenLicense("ODC-By-1.0", "Open Data Commons Attribution 1.0"),
            OpenLicense("CDLA-Permissive-1.0", "Community Data License Agreement, Permissive 1.0"),
            OpenLicense("CDLA-Permissive-2.0", "Community Data License Agreement, Permissive 2.0"),
            OpenLicense("O-UDA-1.0", "Open Use of Data Agreement 1.0"),
            OpenLicense("MIT", "MIT License"),
            OpenLicense("BSD-2-Clause", "BSD 2-Clause License"),
            OpenLicense("BSD-3-Clause", "BSD 3-Clause License"),
            OpenLicense("Apache-2.0", "Apache License 2.0"),
            OpenLicense("PSF-2.0", "Python Software Foundation License 2.0"),
            OpenLicense("CC-BY-SA-3.0", "Creative Commons Attribution-ShareAlike 3.0", share_alike=True),
            OpenLicense("CC-BY-SA-4.0", "Creative Commons Attribution-ShareAlike 4.0", share_alike=True),
            OpenLicense("ODbL-1.0", "Open Data Commons Open Database License 1.0", share_alike=True),
            OpenLicense("CDLA-Sharing-1.0", "Community Data License Agreement, Sharing 1.0", share_alike=True),
            OpenLicense("CC-BY-NC-4.0", "Creative Commons Attribution-NonCommercial 4.0", commercial=False),
            OpenLicense(
                "CC-BY-NC-SA-4.0", "Creative Commons Attribution-NonCommercial-ShareAlike 4.0",
                commercial=False, share_alike=True,
            ),
            OpenLicense("CC-BY-ND-4.0", "Creative Commons Attribution-NoDerivatives 4.0", derive=False),
            OpenLicense(
                "CC-BY-NC-ND-4.0", "Creative Commons Attribution-NonCommercial-NoDerivatives 4.0",
                commercial=False, derive=False,
            ),
        )
    }
)  # fmt: skip

# A share-alike license names its successors itself: CC BY-SA 3.0 §4(b) accepts later versions.
_SUCCESSORS: Mapping[str, frozenset[str]] = MappingProxyType({"CC-BY-SA-3.0": frozenset({"CC-BY-SA-4.0"})})


def satisfies_share_alike(spdx: str, offered: str | None) -> bool:
    """Return whether data under the share-alike license `spdx` may be passed on under `offered`."""
    return offered == spdx or offered in _SUCCESSORS.get(spdx, frozenset())


def spdx_expression(terms: Terms) -> str:
    """Return the SPDX id of `terms`, or a `LicenseRef-` that names them by digest where no listed license fits."""
    return terms.spdx if terms.spdx is not None else f"LicenseRef-Cadastre-{terms.digest.hex[:16]}"


def license_that_fits(terms: Terms) -> OpenLicense | None:
    """Return the open license that grants and asks for exactly what `terms` do, if one does; never an approximation.

    Metered, limited, revocable or exclusive terms fit none. Among equals the first of the table wins.
    """
    for license_ in OPEN_LICENSES.values():
        if _without_words(license_.terms(credit=terms.attribution)) == _without_words(terms):
            return license_
    return None


def _without_words(terms: Terms) -> tuple[object, ...]:
    return (
        terms.uses, terms.commercial, terms.territory, terms.term_days, terms.seats, terms.affiliates,
        terms.keep_models, terms.publish_weights, terms.exclusive, terms.transferable, terms.attribution is None,
        terms.share_alike, terms.report_use, terms.removal_duty, terms.audit_right, terms.revocation, terms.rate,
        terms.all_versions, terms.derive_bps,
    )  # fmt: skip
