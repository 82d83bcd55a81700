"""docs/algorithms/lanes-and-reorgs.md says what the code does."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from provenance.core.follow import Apply, Finalize, Halt, Position, Remote, Rewind, Wait, plan_following
from provenance.core.lane import (
    CAP_PERCENT,
    Broadcast,
    ChainState,
    Expire,
    Fee,
    Fill,
    Intent,
    Lane,
    MarkFailed,
    Replace,
    State,
    Take,
    Transaction,
    bumped,
    plan_lane,
)
from tests.marketplace_core.worked import blocks, table

DOC = "lanes-and-reorgs.md"
NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
MARKET = Fee(100, 10)


def lines(kind):
    return [line for block in blocks(DOC, kind) for line in block.strip().splitlines()]


def paid(verb):
    return lambda step: f"{verb} at {step.fee.max_fee}/{step.fee.priority_fee}"


WORDS = {
    Take: lambda step: paid(f"take {step.nonce}")(step),
    Expire: lambda _: "expire",
    Broadcast: lambda _: "broadcast",
    Replace: paid("replace"),
    Fill: paid("fill"),
    MarkFailed: lambda _: "fail",
    Wait: lambda _: "wait",
    Rewind: lambda step: f"rewind to {step.keep}",
    Apply: lambda step: f"apply {step.first}-{step.last}",
    Finalize: lambda step: f"finalize {step.number}",
    Halt: lambda step: f"halt at {step.fork}",
}


def told(steps):
    return ", ".join(WORDS[type(step)](step) for step in steps) or "nothing"


@pytest.mark.parametrize("row", table(DOC, "Lanes"), ids="-".join)
def test_an_intent_is_treated_as_the_table_says(row):
    state, nonce, chain_nonce, final_nonce, node, minute, step = row
    held = None if nonce == "–" else int(nonce)
    sent = () if held is None else (Transaction("0x01", MARKET, NOW, NOW),)
    intent = Intent(
        UUID(int=1), State(state), NOW, NOW + timedelta(minutes=10), held, sent, "0x01" if state == "final" else None
    )
    chain = ChainState(int(chain_nonce), int(final_nonce), 0, {}, {"0x01"} if node == "yes" else (), MARKET)
    steps = plan_lane(Lane(8), [intent], chain, now=NOW + timedelta(minutes=int(minute)))
    assert told(steps) == step


def fee(text):
    return Fee(*map(int, text.split("/")))


@pytest.mark.parametrize("line", lines("fee"))
def test_fees_rise_as_the_text_says(line):
    _, old, _, market, _, new, verdict = line.split()
    raised = bumped(fee(old), fee(market))
    assert raised == fee(new)
    offered = 100 * raised.max_fee <= CAP_PERCENT * fee(market).max_fee
    assert verdict == ("sent" if offered else "held")


@pytest.mark.parametrize("line", lines("follow"))
def test_chains_are_followed_as_the_text_says(line):
    found = re.fullmatch(r"ours (\w+) final (\d+), chain (\w+) final (\d+): (.*)", line)
    ours, ours_final, chain, chain_final, expected = found.groups()

    def hashes(blocks_of):
        return lambda number: blocks_of[: number + 1] if number < len(blocks_of) else None

    position = Position(0, len(ours) - 1, int(ours_final))
    remote = Remote(len(chain) - 1, int(chain_final), hashes(chain))
    steps = plan_following(position, hashes(ours), remote)
    assert told(steps) == expected
