"""The way into the log: whoever makes a fact true writes its statement here, in the same transaction.

The statement is checked at once, so that the sequencer never meets one that it must refuse. A fact that is told twice
is one row; the caller holds its digest at once and learns its index when it is sequenced.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from django.db import transaction

from provenance.core.canonical import Json, canonical_bytes, parse_canonical
from provenance.core.entry import PersonSignature, check_people, signature_from_document
from provenance.core.refusal import Refusal
from provenance.core.statement import ChainPlace, Statement
from provenance.models import IntakeStatement


class IntakeRefusal(Refusal):
    """A fact is told in two ways, or is already in the log."""


def submit_statement(
    *,
    type: str,  # noqa: A002  # the member's name in the format
    subject: str,
    fact: str,
    body: Mapping[str, Json],
    time: dt.datetime,
    chain: ChainPlace | Mapping[str, Json] | None = None,
    signatures: Iterable[PersonSignature | Mapping[str, Json]] = (),
) -> IntakeStatement:
    """Write a statement into the intake; call it inside the transaction that makes the fact true. Safe twice.

    `fact` begins with `chain:{chain}:{tx}:{log}` for events on chain, with `{type}:{subject}:` for others.
    Raises StatementRefusal, EntryRefusal, and IntakeRefusal when the same fact was told with another content.
    """
    statement = Statement(
        type=type,
        subject=subject,
        fact=fact,
        time=time.astimezone(dt.UTC).replace(microsecond=0),
        chain=ChainPlace.from_document(chain) if isinstance(chain, Mapping) else chain,
        body=body,
    )
    statement.check()
    people = tuple(map(_person, signatures))
    check_people(statement, people)
    with transaction.atomic():
        row, made = IntakeStatement.objects.get_or_create(
            fact=fact,
            defaults={
                "type": type,
                "subject": subject,
                "statement": canonical_bytes(statement.to_document()).decode(),
                "digest": statement.digest.hex,
                "signatures": [each.to_document() for each in people],
                "created_at": time,
            },
        )
    if not made:
        _check_same(row, statement)
    return row


def statement_of(row: IntakeStatement) -> Statement:
    """Return the statement of a row."""
    return Statement.from_document(parse_canonical(row.statement.encode()))


def people_of(row: IntakeStatement) -> tuple[PersonSignature, ...]:
    """Return the signatures of people that came with a row."""
    return tuple(map(_person, row.signatures))


def _person(value: PersonSignature | Mapping[str, Json]) -> PersonSignature:
    if isinstance(value, PersonSignature):
        return value
    signature = signature_from_document(value)
    if not isinstance(signature, PersonSignature):
        raise IntakeRefusal(
            "intake.signature", "Only the sequencer signs for the service.", actual=str(value.get("role"))[:40]
        )
    return signature


def _check_same(row: IntakeStatement, statement: Statement) -> None:
    # The time is when it was told: a second telling may be later, the first one stands.
    told = statement_of(row)
    same = (told.type, told.subject, told.body) == (statement.type, statement.subject, statement.body)
    if not same:
        raise IntakeRefusal(
            "intake.fact_differs", "This fact was told before with another content.", limit=row.digest,
            actual=statement.digest.hex, todo="Retract it, and tell the new fact under a new key.",
        )  # fmt: skip
