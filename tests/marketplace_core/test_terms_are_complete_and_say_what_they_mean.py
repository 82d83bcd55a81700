from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.money import Token
from marketplace.core.presets import PRESETS, preset
from marketplace.core.sentences import derive_sentence, rate_sentences, sentences
from marketplace.core.terms import Ground, Rate, RateUnit, Revocation, Terms, TermsRefusal, Use
from marketplace.core.terms_in_brief import terms_in_brief
from provenance.core.canonical import parse_canonical
from provenance.core.refusal import Refusal
from tests.marketplace_core.cast import TUSD, terms

USD = Token(31337, TUSD, "TUSD", 6)
RATE = Rate(RateUnit.RECORDS_1000, price=500_000, allowance=10, minimum=1_000_000, cap=90_000_000)


@pytest.mark.parametrize("key", PRESETS)
def test_each_preset_is_a_valid_document_that_reads_back_as_itself(key):
    preset_terms = preset(key).terms
    assert Terms.from_document(parse_canonical(preset_terms.to_bytes())) == preset_terms


@given(
    st.builds(
        Terms,
        title=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        uses=st.frozensets(st.sampled_from(Use), min_size=1),
        commercial=st.booleans(),
        territory=st.sampled_from([frozenset({"*"}), frozenset({"DE", "FR"}), frozenset({"US"})]),
        term_days=st.none() | st.integers(1, 36_500),
        seats=st.none() | st.integers(1, 100),
        keep_models=st.booleans(),
        attribution=st.none() | st.just("Credit Ada."),
        report_use=st.just(value=True),
        revocation=st.none()
        | st.builds(
            Revocation,
            grounds=st.frozensets(st.sampled_from(Ground), min_size=1),
            notice_days=st.integers(1, 365),
            cure_days=st.integers(0, 365),
        ),
        rate=st.none() | st.just(RATE),
        all_versions=st.booleans(),
        derive_bps=st.integers(0, 10_000),
    )
)
def test_any_terms_read_back_as_themselves_and_can_be_said_in_sentences(any_terms):
    assert Terms.from_document(parse_canonical(any_terms.to_bytes())) == any_terms
    assert all(sentence.endswith((".", "Credit Ada.")) for sentence in sentences(any_terms, USD))
    brief = "".join(phrase.text for phrase in terms_in_brief(any_terms))
    assert brief.startswith("You may ")
    assert brief.endswith(".")
    assert "  " not in brief
    assert (", not commercially" in brief) is not any_terms.commercial


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"uses": frozenset()}, "terms.uses"),
        ({"title": ""}, "terms.title"),
        ({"text": "x" * 100_001}, "terms.text"),
        ({"territory": frozenset()}, "terms.territory"),
        ({"territory": frozenset({"*", "DE"})}, "terms.territory"),
        ({"territory": frozenset({"Germany"})}, "terms.territory"),
        ({"term_days": 0}, "terms.term_days"),
        ({"term_days": 36_501}, "terms.term_days"),
        ({"seats": 0}, "terms.seats"),
        ({"derive_bps": 10_001}, "share.over_100_percent"),
        ({"spdx": "CC BY 4.0"}, "terms.spdx"),
        ({"rate": RATE}, "terms.rate_without_reports"),
    ],
)
def test_terms_that_contradict_themselves_are_refused_by_name(change, code):
    with pytest.raises(Refusal) as refusal:
        terms(**change)
    assert refusal.value.code == code


def test_revocation_needs_a_ground_and_notice():
    for wrong in ((frozenset(), 1, 0), (frozenset({Ground.BREACH}), 0, 0), (frozenset({Ground.BREACH}), 1, 366)):
        with pytest.raises(TermsRefusal):
            Revocation(*wrong)


@pytest.mark.parametrize("key", sorted(terms().to_document()))
def test_every_key_must_be_present_because_absent_grants_nothing(key):
    document = terms().to_document()
    del document[key]
    with pytest.raises(Refusal):
        Terms.from_document(document)


@pytest.mark.parametrize(
    "change",
    [
        {"uses": ["pretrain", "mine"]}, {"uses": ["pretrain", "evaluate"]}, {"uses": "pretrain"}, {"commercial": 1},
        {"commercial": None}, {"term_days": "730"}, {"versions": "some"}, {"versions": ["one"]},
        {"schema": "cadastre.terms/2"}, {"extra": 1}, {"rate": {"unit": "run"}}, {"rate": []}, {"revocation": {}},
        {"derive_bps": True},
    ],
)  # fmt: skip
def test_a_document_that_is_not_of_the_schema_is_refused(change):
    with pytest.raises(Refusal):
        Terms.from_document(terms().to_document() | change)


def test_the_commercial_preset_says_in_plain_words_what_it_grants():
    said = sentences(preset("train-commercial").terms, USD)
    assert said[0] == (
        "You may train models from scratch, adapt existing models (fine-tune), test and compare models, "
        "let models look things up in it (retrieval) and build and publish other datasets from it. "
        "You may not pass it on."
    )
    assert "Commercial use is allowed." in said
    assert "The license holds worldwide, for 2 years." in said
    assert any(sentence.startswith("Whoever builds a dataset from this one owes 10 %") for sentence in said)


def test_a_price_panel_says_in_one_breath_what_decides():
    phrases = terms_in_brief(preset("train-commercial").terms)
    assert "".join(phrase.text for phrase in phrases) == (
        "You may train, fine-tune and evaluate models, look things up in it and build datasets from it, commercially, "
        "for 2 years. Attribution required. Use is reported. Derived datasets owe 10 %."
    )
    assert [phrase.text for phrase in phrases if phrase.strong] == [
        "train, fine-tune and evaluate", "look things up", "build datasets", "commercially", "2 years", "10 %",
    ]  # fmt: skip


def test_a_price_panel_hides_no_restriction():
    narrow = replace(
        preset("train-commercial").terms, uses=frozenset({Use.EVALUATE}), commercial=False, territory=frozenset({"DE"}),
        term_days=None, exclusive=True, share_alike=True, report_use=False, attribution=None,
    )  # fmt: skip
    assert "".join(phrase.text for phrase in terms_in_brief(narrow)) == (
        "You may evaluate models, not commercially, in DE, without an end. Exclusive. "
        "What you build carries the same terms."
    )


def test_the_share_of_derived_datasets_is_shown_with_a_worked_example():
    assert derive_sentence(500, USD).endswith(
        "if it earns 1000.00 TUSD after the market's fee, 50.00 TUSD go to the owner of this dataset."
    )
    assert "owe nothing" in derive_sentence(0, USD)


def test_a_metered_price_is_shown_with_a_worked_example_that_the_voucher_would_charge():
    assert rate_sentences(RATE, USD) == (
        "Use is metered: 0.50 TUSD per 1,000 records; the first 10,000 records are included.",
        "At least 1.00 TUSD are owed per license in each payment period.",
        "Once 90.00 TUSD have been paid, further use costs nothing.",
        "Example: whoever uses 510,000 records in the first period pays 90.00 TUSD.",
    )
    assert rate_sentences(Rate(RateUnit.RUN, 2_000_000), USD)[-1].endswith(
        "500 runs in the first period pays 1000.00 TUSD."
    )


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(TermsRefusal, match="train-commercial"):
        preset("everything")
