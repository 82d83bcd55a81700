import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.canonical import CanonicalRefusal, canonical_bytes, parse_strict
from provenance.core.entry import ENTRY_LIMIT, Entry, EntryRefusal, PersonSignature, make_entry, rights_attestation
from provenance.core.merkle import leaf_hash
from provenance.core.refusal import Refusal
from provenance.core.statement import BODIES, Statement, StatementRefusal, StatementType
from tests.provenance_core.logs import ed25519, public_bytes
from tests.provenance_core.statements import (
    ADA,
    DATASET,
    DOMAIN,
    EXAMPLES,
    LICENSE,
    MALLORY,
    MANIFEST,
    SERVICE,
    SERVICE_KEY,
    entry,
    place,
    statement,
)

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"


def code_of(action, *arguments, **options):
    with pytest.raises(Refusal) as caught:
        action(*arguments, **options)
    return caught.value.code


@pytest.mark.parametrize("kind", StatementType)
def test_every_type_is_written_and_read_back_equal(kind):
    made = entry(kind, previous=3)
    raw = made.to_bytes()
    assert Entry.parse(raw) == made
    assert made.leaf_hash == leaf_hash(raw)
    assert made.statement.is_known


def test_the_published_list_of_types_is_the_list_that_is_written():
    table = FORMATS.read_text(encoding="utf-8").partition("## Log entry")[2].partition("## Certificate")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    published = [kind for row in rows for kind in re.findall(r"`([a-z]+\.[a-z]+)`", row.split("|")[1])]
    assert sorted(published) == sorted(StatementType)
    assert set(BODIES) == set(StatementType)


@pytest.mark.parametrize("kind", StatementType)
def test_a_body_with_a_member_more_or_less_is_refused(kind):
    for name in EXAMPLES[kind]:
        shorter = {key: value for key, value in EXAMPLES[kind].items() if key != name}
        assert code_of(replace(statement(kind), body=shorter).check) == "field.missing"
    assert code_of(replace(statement(kind), body={**EXAMPLES[kind], "name": "Ada"}).check) == "field.unknown"


@pytest.mark.parametrize("kind", StatementType)
def test_no_member_of_any_body_takes_free_text(kind):
    """Nothing personal enters the log: a sentence, a path or a name fits nowhere."""
    for name in EXAMPLES[kind]:
        for text in ["Ada Lovelace, London", "photos/ada.jpg ", "ada@example.org"]:
            with pytest.raises(Refusal):
                statement(kind, body={name: text}).check()


def test_a_type_outside_the_list_is_not_written_but_is_read():
    unknown = replace(
        statement(StatementType.KEY_ROTATED), type="witness.added", fact="witness.added:log:log.example/cadastre:1"
    )
    assert code_of(make_entry, unknown, key=SERVICE_KEY, sign=SERVICE.sign, previous=None) == "statement.unknown"
    document = {
        "schema": "cadastre.entry/1",
        "statement": unknown.to_document(),
        "signatures": [entry(StatementType.KEY_ROTATED).service.to_document()],
        "previous": None,
    }
    assert not Entry.parse(canonical_bytes(document)).statement.is_known


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "Dataset Registered"}, "statement.type"),
        ({"subject": "Ada"}, "statement.subject"),
        ({"subject": DATASET.upper()}, "statement.subject"),
        ({"fact": ""}, "statement.fact"),
        ({"fact": "key.rotated:another:1"}, "statement.fact"),
        ({"fact": "x" * 251}, "statement.fact"),
        ({"chain": place()}, "statement.fact"),
    ],
)
def test_a_statement_with_a_malformed_head_is_refused(changes, code):
    assert code_of(replace, statement(StatementType.KEY_ROTATED), **changes) == code


def test_a_statement_about_the_wrong_kind_of_thing_is_refused():
    assert code_of(statement(StatementType.LICENSE_EXPIRED, subject=DATASET).check) == "statement.subject"
    statement(StatementType.FACT_RETRACTED, subject=DATASET).check()


def test_one_event_on_chain_makes_several_facts_with_different_keys():
    where = place(log=2)
    kinds = [StatementType.DATASET_REGISTERED, StatementType.VERSION_PUBLISHED, StatementType.PACKAGE_MADE]
    facts = {statement(kind, chain=where).fact for kind in kinds}
    assert len(facts) == 3
    assert all(fact.startswith(f"chain:31337:{where.tx}:2:") for fact in facts)
    bare = replace(statement(kinds[0], chain=where), fact=where.fact)
    assert Statement.from_document(bare.to_document()) == bare


def test_the_service_signs_under_a_prefix_that_no_other_message_has():
    made = statement(StatementType.KEY_ROTATED)
    assert made.signed_bytes == b"cadastre-statement/1\n" + canonical_bytes(made.to_document())
    made_entry = entry(StatementType.KEY_ROTATED)
    made_entry.service.verify(made_entry.statement, SERVICE_KEY)


def test_a_signature_by_another_key_or_over_another_statement_is_refused():
    made = entry(StatementType.KEY_ROTATED)
    assert code_of(made.service.verify, made.statement, public_bytes(ed25519(3))) == "entry.service_key"
    other = statement(StatementType.KEY_ROTATED, unique="2")
    assert code_of(made.service.verify, other, SERVICE_KEY) == "entry.service_signature"
    assert code_of(make_entry, other, key=SERVICE_KEY, sign=ed25519(3).sign, previous=None) == "entry.service_signature"


def test_rights_are_attested_by_the_owner_and_nobody_else():
    digest = rights_attestation(DOMAIN, ADA.address, MANIFEST).digest
    entry(StatementType.RIGHTS_ATTESTED, people=(ADA.sign(digest),))
    assert code_of(entry, StatementType.RIGHTS_ATTESTED, people=(MALLORY.sign(digest),)) == "entry.unattested"
    assert (
        code_of(entry, StatementType.RIGHTS_ATTESTED, people=(ADA.sign(digest, role="witness"),)) == "entry.unattested"
    )
    forged = replace(MALLORY.sign(digest), signer=ADA.account)
    assert code_of(entry, StatementType.RIGHTS_ATTESTED, people=(forged,)) == "entry.signer"


def test_the_twin_of_a_signature_with_high_s_is_refused():
    good = ADA.sign(b"\x01" * 32)
    good.verify()
    order = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
    r, s, v = good.signature[:32], int.from_bytes(good.signature[32:64]), good.signature[64]
    twin = replace(good, signature=r + (order - s).to_bytes(32) + bytes([55 - v]))
    assert code_of(twin.verify) == "entry.signature_form"
    assert code_of(replace(good, signature=b"\x00" * 65).verify) == "entry.signature_form"
    assert code_of(replace(good, signature=b"\x00" * 64 + b"\x1b").verify) == "entry.signature"
    assert not replace(good, signature=b"\x00" * 130).is_of_a_key


def test_an_entry_has_exactly_one_service_signature():
    made = entry(StatementType.KEY_ROTATED)
    assert code_of(Entry, made.statement, (), None) == "entry.signatures"
    assert code_of(Entry, made.statement, made.signatures * 2, None) == "entry.signatures"
    assert code_of(Entry, made.statement, made.signatures, -1) == "entry.previous"


def test_an_entry_of_16_kibibytes_passes_and_a_longer_one_is_refused():
    made = entry(StatementType.LICENSE_EXPIRED)
    room = ENTRY_LIMIT - len(replace(made, signatures=(*made.signatures, _padding(0))).to_bytes())
    assert len(replace(made, signatures=(*made.signatures, *_paddings(room))).to_bytes()) <= ENTRY_LIMIT
    too_long = replace(made, signatures=(*made.signatures, _padding(4096), _padding(4096)))
    assert code_of(too_long.to_bytes) == "document.too_large"


def _padding(size):
    return PersonSignature("licensee", ADA.account, bytes(32), bytes(max(1, size)))


def _paddings(room):
    return [_padding(min(4096, room // 2 - 200))]


@given(st.data())
def test_any_flipped_byte_of_an_entry_is_refused_or_changes_its_leaf(data):
    made = entry(StatementType.RIGHTS_ATTESTED)
    raw = bytearray(made.to_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    assert leaf_hash(bytes(raw)) != made.leaf_hash
    try:
        read = Entry.parse(bytes(raw))
        read.service.verify(read.statement, SERVICE_KEY)
    except Refusal:
        return
    # What the service did not sign is what people signed, and where the entry stands.
    assert read.statement == made.statement


def test_an_entry_in_another_spelling_is_refused():
    raw = entry(StatementType.KEY_ROTATED).to_bytes()
    with pytest.raises(CanonicalRefusal, match="canonical"):
        Entry.parse(b" " + raw)
    assert parse_strict(b" " + raw) == parse_strict(raw)


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ({"alg": "none"}, "entry.algorithm"),
        ("text", "entry.algorithm"),
        ({"role": "owner", "alg": "ed25519", "key": "11" * 32, "signature": ""}, "entry.role"),
        ({"role": "service", "alg": "ed25519", "key": "11" * 32, "signature": "%"}, "entry.base64"),
        ({"role": "service", "alg": "ed25519", "key": "11" * 32, "signature": "AB=="}, "entry.base64"),
        ({"role": "service", "alg": "ed25519", "key": "11" * 31, "signature": ""}, "field.kind"),
    ],
)
def test_a_malformed_signature_is_refused(signature, code):
    document = {
        "schema": "cadastre.entry/1",
        "statement": statement(StatementType.LICENSE_EXPIRED, subject=LICENSE).to_document(),
        "signatures": [signature],
        "previous": None,
    }
    assert code_of(Entry.parse, canonical_bytes(document)) == code


def test_statement_errors_are_refusals_of_one_family():
    assert issubclass(StatementRefusal, Refusal)
    assert issubclass(EntryRefusal, Refusal)
