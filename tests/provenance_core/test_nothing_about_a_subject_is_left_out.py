from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.completeness import (
    Absence,
    Commitment,
    Membership,
    SubjectIndex,
    latest_by_subject,
    verify_latest,
    verify_trail,
)
from provenance.core.merkle import EMPTY_ROOT
from provenance.core.refusal import Refusal
from provenance.core.statement import StatementType
from tests.provenance_core.statements import DATASET, entry

SUBJECTS = [DATASET.replace("/12", f"/{number}") for number in range(1, 7)]


def code_of(action, *arguments):
    with pytest.raises(Refusal) as caught:
        action(*arguments)
    return caught.value.code


def log_of(subjects):
    """Entries about the subjects in order, each linked to the one before about the same subject."""
    latest, entries = {}, {}
    for index, subject in enumerate(subjects):
        kind = StatementType.LISTING_CHANGED
        entries[index] = entry(kind, subject=subject, unique=str(index), previous=latest.get(subject))
        latest[subject] = index
    return entries


def index_of(entries, up_to):
    pairs = [(index, entries[index].statement.subject) for index in sorted(entries) if index <= up_to]
    return SubjectIndex(latest_by_subject(pairs), up_to)


histories = st.lists(st.sampled_from(SUBJECTS[:5]), min_size=1, max_size=14)


@given(histories, st.data())
def test_a_trail_is_proved_whole(subjects, data):
    entries = log_of(subjects)
    up_to = data.draw(st.integers(0, len(subjects) - 1))
    index = index_of(entries, up_to)
    for subject in SUBJECTS:
        found = verify_trail(subject, index.prove(subject), index.commitment, len(subjects), entries)
        assert found == [at for at, each in enumerate(subjects) if each == subject]


@given(histories, st.data())
def test_a_trail_with_an_entry_withheld_is_refused(subjects, data):
    entries = log_of(subjects)
    up_to = data.draw(st.integers(0, len(subjects) - 1))
    index = index_of(entries, up_to)
    hidden = data.draw(st.integers(0, len(subjects) - 1))
    subject = subjects[hidden]
    shown = {at: each for at, each in entries.items() if at != hidden}
    code = code_of(verify_trail, subject, index.prove(subject), index.commitment, len(subjects), shown)
    assert code in {"completeness.missing", "completeness.range"}


def test_presence_cannot_be_passed_off_as_absence():
    entries = log_of(SUBJECTS[:5])
    index = index_of(entries, 4)
    third = SUBJECTS[2]
    two, four = (index.prove(SUBJECTS[at]).leaf for at in (1, 3))
    first, last = index.prove(SUBJECTS[0]).leaf, index.prove(SUBJECTS[4]).leaf
    for lie in (Absence(two, four), Absence(None, four), Absence(two, None), Absence(None, None), Absence(first, last)):
        assert code_of(verify_latest, third, lie, index.commitment) == "completeness.neighbors"
    assert code_of(verify_latest, SUBJECTS[1], Absence(two, four), index.commitment) == "completeness.neighbors"


def test_a_proof_about_another_subject_or_of_another_index_is_refused():
    entries = log_of(SUBJECTS[:3])
    index = index_of(entries, 2)
    proof = index.prove(SUBJECTS[0])
    assert verify_latest(SUBJECTS[0], proof, index.commitment) == 0
    assert code_of(verify_latest, SUBJECTS[1], proof, index.commitment) == "completeness.subject"
    lying = Membership(replace(proof.leaf, latest=replace(proof.leaf.latest, index=1)))
    assert code_of(verify_latest, SUBJECTS[0], lying, index.commitment) == "merkle.inclusion"
    later = Membership(replace(proof.leaf, latest=replace(proof.leaf.latest, index=3)))
    assert code_of(verify_latest, SUBJECTS[0], later, index.commitment) == "completeness.after"


def test_an_empty_map_holds_nothing():
    empty = SubjectIndex({}, 0)
    assert empty.commitment == Commitment(0, 0, EMPTY_ROOT)
    assert verify_latest(SUBJECTS[0], empty.prove(SUBJECTS[0]), empty.commitment) is None


def test_links_that_lead_elsewhere_are_refused():
    entries = log_of([SUBJECTS[0], SUBJECTS[1], SUBJECTS[0], SUBJECTS[0]])
    index = index_of(entries, 2)
    proof = index.prove(SUBJECTS[0])

    def with_previous(at, previous):
        return {**entries, at: replace(entries[at], previous=previous)}

    trail = (SUBJECTS[0], proof, index.commitment, 4)
    assert verify_trail(*trail, entries) == [0, 2, 3]
    assert code_of(verify_trail, *trail, with_previous(2, 1)) == "completeness.link"
    assert code_of(verify_trail, *trail, with_previous(2, 3)) == "completeness.order"
    assert code_of(verify_trail, *trail, with_previous(3, 0)) == "completeness.link"
