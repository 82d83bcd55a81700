"""Ready-made terms for creators: named, complete, and shown as sentences before anybody accepts them.

A preset is a starting point. Every field can be changed, and the text names what the fields say, so that both agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from marketplace.core.language import gettext_noop
from marketplace.core.spdx import OPEN_LICENSES
from marketplace.core.terms import Ground, Revocation, Terms, TermsRefusal, Use

STANDARD_REVOCATION = Revocation(
    frozenset({Ground.BREACH, Ground.COURT_ORDER, Ground.NON_PAYMENT, Ground.RIGHTS_CLAIM}),
    notice_days=30,
    cure_days=14,
)
_TRAINING = frozenset({Use.PRETRAIN, Use.FINE_TUNE, Use.EVALUATE, Use.RETRIEVE})
_CLOSING = (
    "Whatever is not granted is reserved. Words used here have the meaning given at the register where this license "
    "was sold; the machine-readable fields explain this text and never extend it."
)


@dataclass(frozen=True, slots=True)
class Preset:
    """A key for forms and the API, the name and the one-line explanation that creators see, and the terms."""

    key: str
    name: str
    explanation: str
    terms: Terms


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.key: preset
        for preset in (
            Preset(
                "train-commercial",
                gettext_noop("Train and fine-tune, commercially, 2 years, attribution, 10 %"),
                gettext_noop(
                    "Companies may train with it for two years, keep the models, credit you, and report what they use."
                ),
                Terms(
                    title="Training license, commercial, two years",
                    text=(
                        "The licensee may train, adapt, evaluate and operate models with the licensed version of this "
                        "dataset, also commercially, worldwide and for two years, and may keep models trained in that "
                        "time. The licensee may build and publish datasets from it; these owe the owner 10 % of what "
                        "they earn. The licensee credits the creator, reports its use, and removes records that have "
                        "to go. The dataset itself is not passed on. " + _CLOSING
                    ),
                    uses=_TRAINING | {Use.DERIVE},
                    commercial=True,
                    term_days=730,
                    attribution="Credit the creator by the name shown at the register.",
                    report_use=True,
                    removal_duty=True,
                    revocation=STANDARD_REVOCATION,
                    derive_bps=1_000,
                ),
            ),
            Preset(
                "train-only",
                gettext_noop("Train, no derived datasets"),
                gettext_noop(
                    "Companies may train with it for two years. Nobody may publish other datasets built from it."
                ),
                Terms(
                    title="Training license, commercial, two years, no derived datasets",
                    text=(
                        "The licensee may train, adapt, evaluate and operate models with the licensed version of this "
                        "dataset, also commercially, worldwide and for two years, and may keep models trained in that "
                        "time. The licensee reports its use and removes records that have to go. Neither the dataset "
                        "nor datasets built from it are passed on. " + _CLOSING
                    ),
                    uses=_TRAINING,
                    commercial=True,
                    term_days=730,
                    report_use=True,
                    removal_duty=True,
                    revocation=STANDARD_REVOCATION,
                ),
            ),
            Preset(
                "derive",
                gettext_noop("Derive allowed: others may build on it, commercially, 5 %"),
                gettext_noop(
                    "Everything that training needs, and others may build datasets from it; "
                    "you get 5 % of what they earn."
                ),
                Terms(
                    title="Building license, commercial, without an end",
                    text=(
                        "The licensee may train, adapt, evaluate and operate models with this dataset and all versions "
                        "of it, also commercially, worldwide and without an end, and may build and publish datasets "
                        "from it; these owe the owner 5 % of what they earn. The licensee credits the creator and "
                        "removes records that have to go. The dataset itself is not passed on. " + _CLOSING
                    ),
                    uses=_TRAINING | {Use.DERIVE},
                    commercial=True,
                    affiliates=True,
                    publish_weights=True,
                    attribution="Credit the creator by the name shown at the register.",
                    removal_duty=True,
                    revocation=STANDARD_REVOCATION,
                    all_versions=True,
                    derive_bps=500,
                ),
            ),
            Preset(
                "research-only",
                gettext_noop("Research only"),
                gettext_noop("Universities and hobbyists may use it for anything non-commercial, and credit you."),
                Terms(
                    title="Research license, non-commercial",
                    text=(
                        "The licensee may train, adapt, evaluate and operate models with this dataset and all versions "
                        "of it for research and other non-commercial purposes, worldwide and without an end, and "
                        "credits the creator. The dataset is not passed on. " + _CLOSING
                    ),
                    uses=_TRAINING,
                    commercial=False,
                    attribution="Credit the creator by the name shown at the register.",
                    removal_duty=True,
                    revocation=STANDARD_REVOCATION,
                    all_versions=True,
                ),
            ),
            Preset(
                "open-cc-by-4.0",
                gettext_noop("Open: CC-BY-4.0"),
                gettext_noop(
                    "Anybody may use it for anything, free of charge, and credits you. This cannot be taken back."
                ),
                OPEN_LICENSES["CC-BY-4.0"].terms(),
            ),
            Preset(
                "open-cc0-1.0",
                gettext_noop("Open: CC0-1.0"),
                gettext_noop(
                    "Anybody may use it for anything, free of charge, without a credit. This cannot be taken back."
                ),
                OPEN_LICENSES["CC0-1.0"].terms(),
            ),
        )
    }
)


def preset(key: str) -> Preset:
    """Return the preset named `key`. Raises TermsRefusal."""
    try:
        return PRESETS[key]
    except KeyError as error:
        raise TermsRefusal(
            "terms.preset_unknown",
            "There is no such preset.",
            actual=key[:40],
            todo="Choose one of " + ", ".join(PRESETS),
        ) from error
