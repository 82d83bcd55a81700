"""docs/algorithms/log.md says what the code does."""

import json

import pytest

from provenance.core.completeness import Latest
from provenance.core.merkle import MerkleTree, leaf_hash, node_hash
from provenance.core.policy import LICENSE_ONLY, Outcome, Step, StepResult
from provenance.core.tiles import Tile, tiles_of
from tests.marketplace_core.worked import blocks, table
from tests.provenance_core.bundles import World

DOC = "log.md"


def lines(kind):
    return [line for block in blocks(DOC, kind) for line in block.strip().splitlines()]


def test_the_tree_of_three_leaves_has_the_hashes_of_the_text():
    leaves = {name: leaf_hash(name.encode()) for name in "abc"}
    said = {tuple(line.split()[:-1]): line.split()[-1] for line in lines("tree")}
    assert {name: said["leaf", name] for name in "abc"} == {name: each.hex() for name, each in leaves.items()}
    assert said["node", "a", "b"] == node_hash(leaves["a"], leaves["b"]).hex()
    assert said[("root",)] == MerkleTree(leaves.values()).root.hex()


@pytest.mark.parametrize("line", lines("proof"))
def test_proofs_are_as_long_as_the_text_says(line):
    _, size, _, longest = line.split()
    assert (int(size) - 1).bit_length() == int(longest)
    if int(size) <= 1000:
        tree = MerkleTree(leaf_hash(number.to_bytes(4, "big")) for number in range(int(size)))
        assert max(len(tree.inclusion_proof(index)) for index in range(int(size))) == int(longest)


@pytest.mark.parametrize("line", lines("tiles"))
def test_logs_have_the_tiles_of_the_text(line):
    size = int(line.removeprefix("size ").partition(":")[0])
    counted = []
    for level in range(4):
        tiles = [tile for tile in tiles_of(size) if tile.level == level]
        if tiles:
            partial = [f" partial {tile.width}" for tile in tiles if not tile.is_full]
            counted.append(f"level {level} full {sum(tile.is_full for tile in tiles)}{''.join(partial)}")
    assert line == f"size {size}: {', '.join(counted)}"


@pytest.mark.parametrize("line", lines("path"))
def test_tiles_have_the_paths_of_the_text(line):
    _, level, _, index, _, width, path = line.split()
    assert Tile(None if level == "entries" else int(level), int(index), int(width)).path == path


def test_a_leaf_of_the_map_has_the_hash_of_the_text():
    pair, leaf = lines("latest")
    assert f"leaf {Latest(*json.loads(pair)).leaf_hash.hex()}" == leaf


def test_the_steps_are_those_of_the_text_in_its_order():
    rows = table(DOC, "Verification")
    assert [row[1] for row in rows] == list(Step)
    assert [int(row[0]) for row in rows] == list(range(1, len(Step) + 1))
    named = {int(row[0]) for row in rows if row[1] in LICENSE_ONLY}
    assert named == {14, 15, 16, 21}


def test_verdicts_are_those_of_the_text():
    policy = World().policy(frozenset({Step.BUNDLE, Step.KEYS}))

    def judged(**outcomes):
        results = [StepResult(1, Step[name], Outcome[outcome], "") for name, outcome in outcomes.items()]
        return policy.judge(results, None).value

    found = {
        "any step failed": judged(BUNDLE="PASS", KEYS="PASS", FILES="FAIL"),
        "a required step not checked": judged(BUNDLE="PASS", KEYS="NOT_CHECKED"),
        "every required step passed, another not checked": judged(BUNDLE="PASS", KEYS="PASS", FILES="NOT_CHECKED"),
        "every required step passed, availability withheld": judged(
            BUNDLE="PASS", KEYS="PASS", AVAILABILITY="WITHHELD"
        ),
        "no step at all": judged(),
    }
    assert dict(line.split(" → ") for line in lines("verdict")) == found
