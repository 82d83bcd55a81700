import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.follow import (
    Apply,
    Finalize,
    FollowRefusal,
    Halt,
    Position,
    Remote,
    Rewind,
    Wait,
    plan_following,
)


def hashes(text):
    """A chain of one letter per block, the first at number 0; a hash covers all blocks before it."""
    return lambda number: text[: number + 1] if 0 <= number < len(text) else None


def plan(local, remote, *, finalized=-1, remote_finalized=None, first_block=0, **options):
    head = len(remote) - 1
    return plan_following(
        Position(first_block, len(local) - 1, finalized),
        hashes(local),
        Remote(head, head - 2 if remote_finalized is None else remote_finalized, hashes(remote)),
        **options,
    )


def test_an_empty_follower_begins_at_the_first_block():
    assert plan("", "abcd") == [Apply(0, 3), Finalize(1)]


def test_new_blocks_are_applied_and_finality_rises():
    assert plan("abc", "abcdef", finalized=0) == [Apply(3, 5), Finalize(3)]


def test_nothing_new_is_nothing_to_do():
    assert plan("abc", "abc", finalized=0) == []


def test_finality_may_rise_without_a_new_block():
    assert plan("abc", "abc", finalized=0, remote_finalized=2) == [Finalize(2)]


def test_a_reorganization_is_rewound_to_the_highest_common_block():
    assert plan("abcde", "abXYZW", finalized=1) == [Rewind(1), Apply(2, 5), Finalize(3)]


def test_a_shorter_chain_with_other_blocks_is_a_reorganization_too():
    assert plan("abcde", "abcX", finalized=1) == [Rewind(2), Apply(3, 3)]


def test_a_lagging_node_is_waited_for():
    assert plan("abcde", "abc", finalized=2) == [Wait(2, 4)]


def test_a_node_that_lags_below_finality_is_not_believed():
    assert plan("abcde", "ab", finalized=3, remote_finalized=0) == [Halt(2, 3, "abc", None)]


def test_a_fork_below_finality_halts_and_deletes_nothing():
    assert plan("abcde", "aXYZWV", finalized=3) == [Halt(1, 3, "ab", "aX")]


def test_an_operator_may_confirm_a_fork_below_finality():
    steps = plan("abcde", "aXYZWV", finalized=3, confirmed_past_finality=True)
    assert steps == [Rewind(0, past_finality=True), Apply(1, 5), Finalize(3)]


def test_work_comes_in_batches_and_finality_never_passes_it():
    assert plan("a", "abcdefgh", finalized=0, batch=2) == [Apply(1, 2), Finalize(2)]


def test_blocks_before_the_first_are_never_asked_for():
    steps = plan_following(Position(100, 99, 99), hashes(""), Remote(101, 100, lambda number: f"0x{number}"))
    assert steps == [Apply(100, 101), Finalize(100)]


def test_a_node_that_calls_a_missing_block_final_is_refused():
    with pytest.raises(FollowRefusal, match="does not have"):
        plan("", "ab", remote_finalized=5)


def test_a_gap_in_what_was_applied_is_refused():
    with pytest.raises(FollowRefusal, match="no stored hash"):
        plan_following(Position(0, 3, 0), lambda _: None, Remote(3, 1, hashes("abcd")))


def test_a_position_above_what_was_applied_is_refused():
    with pytest.raises(FollowRefusal):
        Position(0, 3, 4)


@given(
    st.text("ab", max_size=12),
    st.lists(st.tuples(st.integers(0, 3), st.text("cdef", min_size=1, max_size=6)), max_size=6),
    st.integers(1, 5),
)
def test_a_follower_ends_on_the_chain_after_any_reorganizations_above_finality(start, forks, batch):
    chain, local, finalized = start, "", -1
    for depth, added in [(0, ""), *forks]:
        chain = chain[: max(finalized + 1, len(chain) - depth)] + added
        for _ in range(50):
            steps = plan(local, chain, finalized=finalized, remote_finalized=max(-1, len(chain) - 4), batch=batch)
            if not steps or isinstance(steps[0], Wait):
                break
            for step in steps:
                match step:
                    case Rewind(keep=keep, past_finality=past):
                        assert not past
                        assert keep >= finalized
                        local = local[: keep + 1]
                    case Apply(first=first, last=last):
                        assert first == len(local)
                        local += chain[first : last + 1]
                    case Finalize(number=number):
                        assert finalized < number < len(local)
                        finalized = number
        assert local == chain or (isinstance(steps[0], Wait) and local.startswith(chain))
