import xml.etree.ElementTree as ET

import pytest

from marketplace.core.money import Amount, Token
from marketplace.core.odrl import Agreed, odrl_policy
from marketplace.core.presets import PRESETS, preset
from marketplace.core.rsl import NAMESPACE, rsl_document
from marketplace.core.spdx import OPEN_LICENSES, license_that_fits, satisfies_share_alike, spdx_expression
from marketplace.core.terms import Rate, RateUnit, Use
from provenance.core.canonical import canonical_bytes
from tests.marketplace_core.cast import ADA, CLEO, TUSD, account, dataset, license_of, terms

USD = Token(31337, TUSD, "TUSD", 6)
PRICE = Amount(240_000_000, USD)
OFFER = {"uid": "urn:sha256:00", "target": str(dataset(12)), "assigner": account(ADA), "price": PRICE}
PLACES = {"content_url": "https://x.test/d/1", "terms_url": "https://x.test/t", "offer_url": "https://x.test/o"}


def rules(policy):
    return [*policy["permission"], *policy["prohibition"]]


@pytest.mark.parametrize("key", PRESETS)
def test_every_rule_of_an_odrl_offer_has_one_assigner_and_of_an_agreement_also_one_assignee(key):
    preset_terms = preset(key).terms
    offered = odrl_policy(preset_terms, **OFFER)
    agreed = odrl_policy(preset_terms, **OFFER, agreed=Agreed(str(license_of(5)), account(CLEO), 0, 86_400))
    assert (offered["@type"], agreed["@type"], agreed["uid"]) == ("Offer", "Agreement", str(license_of(5)))
    assert all(rule["assigner"] == account(ADA) and "assignee" not in rule for rule in rules(offered))
    assert all(rule["assigner"] == account(ADA) and rule["assignee"] == account(CLEO) for rule in rules(agreed))
    assert canonical_bytes(offered) != canonical_bytes(agreed)


def test_odrl_prohibits_by_name_what_is_not_granted():
    policy = odrl_policy(terms(), **OFFER)
    prohibited = {rule["action"] for rule in policy["prohibition"]}
    assert {"derive", "distribute", "cadastre:fine-tune", "cc:CommericalUse", "transfer"} <= prohibited
    assert [rule["action"] for rule in policy["permission"]] == ["cadastre:pretrain"]


def test_odrl_states_price_rate_share_and_term():
    full = terms(
        uses=frozenset({Use.DERIVE}), derive_bps=500, term_days=730, report_use=True, territory=frozenset({"DE"}),
        rate=Rate(RateUnit.RUN, 2_000_000, allowance=3, minimum=1_000_000, cap=9_000_000), seats=3,
    )  # fmt: skip
    text = canonical_bytes(odrl_policy(full, **OFFER)).decode()
    for expected in ("240.00", "2.00", "9.00", "P730D", "cadastre:share-bps", '"DE"', "inform", "cadastre:seats"):
        assert expected in text


def rsl(of_terms, price=PRICE, **more):
    root = ET.fromstring(rsl_document(of_terms, **PLACES, price=price, **more))  # noqa: S314  # written here
    return root, {"r": NAMESPACE}


def test_rsl_permits_training_only_if_training_and_fine_tuning_are_both_granted():
    root, names = rsl(preset("train-commercial").terms)
    assert root.find(".//r:permits[@type='usage']", names).text == "ai-train,ai-input"
    root, names = rsl(terms(uses=frozenset({Use.PRETRAIN})))
    assert root.find(".//r:permits[@type='usage']", names) is None
    assert root.find(".//r:prohibits[@type='usage']", names).text == "ai-input"


def test_rsl_names_the_way_to_pay_and_the_receipt():
    root, names = rsl(preset("train-commercial").terms, proof_url="https://x.test/l/5")
    assert root.find(".//r:payment", names).get("type") == "purchase"
    assert root.find(".//r:payment/r:custom", names).text == PLACES["offer_url"]
    assert root.find(".//r:legal[@type='proof']", names).text == "https://x.test/l/5"
    free = Amount(0, USD)
    assert rsl(preset("open-cc0-1.0").terms, free)[0].find(".//r:payment", names).get("type") == "free"
    assert rsl(preset("open-cc-by-4.0").terms, free)[0].find(".//r:payment", names).get("type") == "attribution"
    metered = terms(rate=Rate(RateUnit.RUN, 1), report_use=True)
    assert rsl(metered, free)[0].find(".//r:payment", names).get("type") == "use"


def test_rsl_escapes_what_it_is_given():
    text = rsl_document(terms(), **(PLACES | {"content_url": 'https://x.test/?a="&b=<'}), price=PRICE)
    assert ET.fromstring(text)[0].get("url") == 'https://x.test/?a="&b=<'  # noqa: S314  # written here


@pytest.mark.parametrize("spdx", OPEN_LICENSES)
def test_an_open_license_becomes_terms_and_back(spdx):
    open_terms = OPEN_LICENSES[spdx].terms()
    fitting = license_that_fits(open_terms)
    assert spdx_expression(open_terms) == spdx
    assert (fitting.commercial, fitting.derive, fitting.share_alike, fitting.attribution) == (
        OPEN_LICENSES[spdx].commercial, OPEN_LICENSES[spdx].derive, OPEN_LICENSES[spdx].share_alike,
        OPEN_LICENSES[spdx].attribution,
    )  # fmt: skip


def test_terms_that_no_listed_license_fits_are_named_by_their_digest():
    limited = preset("train-commercial").terms
    assert license_that_fits(limited) is None
    assert spdx_expression(limited) == f"LicenseRef-Cadastre-{limited.digest.hex[:16]}"


def test_share_alike_is_satisfied_by_the_same_license_or_a_successor_that_it_names():
    assert satisfies_share_alike("CC-BY-SA-4.0", "CC-BY-SA-4.0")
    assert satisfies_share_alike("CC-BY-SA-3.0", "CC-BY-SA-4.0")
    assert not satisfies_share_alike("CC-BY-SA-4.0", "CC-BY-SA-3.0")
    assert not satisfies_share_alike("CC-BY-SA-4.0", "ODbL-1.0")
    assert not satisfies_share_alike("CC-BY-SA-4.0", None)
