import pytest

from marketplace.core.compatibility import (
    Basis,
    Clash,
    CompatibilityRefusal,
    HeldLicense,
    Source,
    Upstream,
    conflicts,
    roll_up,
    source_conflicts,
)
from marketplace.core.presets import preset
from marketplace.core.spdx import OPEN_LICENSES
from marketplace.core.terms import Ground, Revocation, Use
from tests.marketplace_core.cast import dataset, license_of, terms
from tests.marketplace_core.worked import table

ALL = frozenset(Use)


def held(of_terms, number=1, title="Alps", **more):
    return Upstream(str(dataset(number)), title, held=HeldLicense(str(license_of(number)), of_terms, **more))


def clashes(found):
    return [conflict.clash.value for conflict in found]


@pytest.mark.parametrize(("offered", "upstream", "expected"), table("compatibility.md", "Worked cases"))
def test_the_worked_cases_of_the_specification_hold(offered, upstream, expected):
    upstream = upstream.strip("` ")
    found = conflicts(preset(offered).terms, [held(preset(upstream).terms)])
    assert (", ".join(clashes(found)) or "none") == expected


def test_every_clash_is_in_the_specification():
    rows = " ".join(row[0] for row in table("compatibility.md", "Rules"))
    assert all(clash.value in rows for clash in Clash)


def test_data_without_ancestors_conflicts_with_nothing():
    assert conflicts(terms(uses=ALL, commercial=True, exclusive=True), []) == ()


def test_an_empty_rule_set_fails_instead_of_passing():
    with pytest.raises(CompatibilityRefusal, match="without a rule"):
        conflicts(terms(), [], rules=())


def test_all_conflicts_with_every_ancestor_come_back_at_once():
    alps = held(terms(uses=frozenset({Use.DERIVE, Use.PRETRAIN}), commercial=False, term_days=365), 1, "Alps")
    lakes = held(terms(uses=frozenset({Use.EVALUATE}), territory=frozenset({"CH"}), report_use=True), 2, "Lakes")
    found = conflicts(terms(uses=frozenset({Use.PRETRAIN, Use.EVALUATE}), commercial=True), [alps, lakes])
    by_ancestor = {number: clashes(c for c in found if c.dataset == str(dataset(number))) for number in (1, 2)}
    assert by_ancestor == {
        1: ["use", "commercial", "term"],
        2: ["derive", "use", "commercial", "territory", "report-use"],
    }
    assert [c.sentence for c in found][
        1
    ] == "You want to allow commercial use; “Alps” may only be used non-commercially."


def test_an_ancestor_that_nobody_licensed_is_a_conflict_of_its_own():
    found = conflicts(terms(), [Upstream(str(dataset(1)), "Alps")])
    assert clashes(found) == ["license-missing"]
    assert "buy one that allows building datasets" in found[0].sentence


def test_a_license_that_has_ended_is_named_beside_what_its_terms_forbid():
    found = conflicts(terms(uses=frozenset({Use.PRETRAIN})), [held(terms(uses=ALL), ended=True)])
    assert clashes(found) == ["license-ended"]


def test_the_license_held_governs_even_where_the_present_terms_are_open():
    open_now = OPEN_LICENSES["CC0-1.0"].terms()
    narrow = HeldLicense(str(license_of(1)), terms(uses=frozenset({Use.DERIVE})))
    assert conflicts(terms(), [Upstream(str(dataset(1)), "Alps", open_terms=open_now)]) == ()
    assert clashes(conflicts(terms(), [Upstream(str(dataset(1)), "Alps", open_now, narrow)])) == ["use"]


@pytest.mark.parametrize(
    ("offered", "governing", "expected"),
    [
        ({"territory": frozenset({"DE", "FR"})}, {"territory": frozenset({"DE"})}, ["territory"]),
        ({"territory": frozenset({"DE"})}, {"territory": frozenset({"DE", "FR"})}, []),
        ({"term_days": 366}, {"term_days": 365}, ["term"]),
        ({"term_days": 365}, {"term_days": 365}, []),
        ({"attribution": "Ben. Credit Ada."}, {"attribution": "Credit Ada."}, []),
        ({"attribution": "Ben."}, {"attribution": "Credit Ada."}, ["attribution"]),
        ({"exclusive": True}, {}, ["exclusive"]),
        ({"exclusive": True}, {"exclusive": True}, []),
        ({"affiliates": True, "publish_weights": True}, {}, ["affiliates", "publish-weights"]),
        ({"keep_models": True}, {"keep_models": False}, ["keep-models"]),
        ({}, {"audit_right": True, "removal_duty": True}, ["removal-duty", "audit-right"]),
        ({"share_alike": True, "uses": ALL}, {"share_alike": True}, []),
        ({}, {"share_alike": True}, ["share-alike"]),
        (
            {"share_alike": True, "uses": ALL, "spdx": "ODbL-1.0"},
            {"share_alike": True, "spdx": "CC-BY-SA-4.0"},
            ["share-alike"],
        ),
        (
            {},
            {"revocation": Revocation(frozenset({Ground.BREACH, Ground.COURT_ORDER}), 1, 0)},
            ["revocation", "revocation"],
        ),
        (
            {"revocation": Revocation(frozenset({Ground.BREACH}), 30, 0)},
            {"revocation": Revocation(frozenset({Ground.BREACH}), 1, 0)},
            [],
        ),
    ],
)  # fmt: skip
def test_each_rule_compares_one_field(offered, governing, expected):
    governing = terms(**({"uses": ALL} | governing))
    assert clashes(conflicts(terms(**offered), [held(governing)])) == expected


def test_two_share_alike_ancestors_of_different_licenses_can_never_be_satisfied():
    by_sa, odbl = (held(OPEN_LICENSES[spdx].terms(credit="Ada"), 1) for spdx in ("CC-BY-SA-4.0", "ODbL-1.0"))
    for spdx in ("CC-BY-SA-4.0", "ODbL-1.0"):
        found = conflicts(OPEN_LICENSES[spdx].terms(credit="Ada"), [by_sa, odbl])
        assert clashes(found) == ["share-alike"]


def test_a_corpus_keeps_one_license_per_source_and_rolls_up_the_narrowest():
    corpus = roll_up(
        [
            Source("photos", Basis.OWN_WORK),
            Source("wiki", Basis.OPEN_LICENSE, spdx="CC-BY-SA-4.0"),
            Source("papers", Basis.OPEN_LICENSE, spdx="CC-BY-NC-4.0"),
            Source(
                "archive", Basis.LICENSED, sublicensing=True, terms=terms(uses=frozenset({Use.PRETRAIN}), term_days=90)
            ),
        ]
    )
    assert (corpus.uses, corpus.commercial, corpus.term_days) == (frozenset({Use.PRETRAIN}), False, 90)
    assert corpus.share_alike == ("CC-BY-SA-4.0",)
    assert len(corpus.attributions) == 2
    assert corpus.unknown == corpus.not_sublicensable == ()


def test_unknown_is_a_value_and_is_named():
    corpus = roll_up([Source("crawl", Basis.WEB), Source("gift", Basis.UNKNOWN), Source("own", Basis.OWN_WORK)])
    assert corpus.unknown == ("crawl", "gift")
    found = source_conflicts(str(dataset(1)), terms(), [Source("crawl", Basis.WEB)])
    assert clashes(found) == ["unknown"]
    assert not found[0].blocking


def test_a_source_that_may_not_be_licensed_on_is_a_conflict():
    source = Source("archive", Basis.LICENSED, sublicensing=False, terms=terms(uses=ALL))
    assert clashes(source_conflicts(str(dataset(1)), terms(), [source])) == ["sublicensing"]
    assert roll_up([source]).not_sublicensable == ("archive",)
    allowed = Source("archive", Basis.LICENSED, sublicensing=True)
    assert source_conflicts(str(dataset(1)), terms(), [allowed]) == ()


def test_a_dataset_without_sources_is_refused():
    with pytest.raises(CompatibilityRefusal, match="at least one source"):
        roll_up([])
