"""A stranger's tree: OpenZeppelin's JavaScript library builds the same roots and accepts the same proofs."""

import json
import shutil
import subprocess

import pytest

from contracts import build, payout_tree
from contracts.devnet import Devnet, Reverted
from tests.services.presence import missing

TOKEN = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
SCRIPT = """
const { StandardMerkleTree } = require("@openzeppelin/merkle-tree");
const wanted = JSON.parse(require("fs").readFileSync(0, "utf8"));
const types = ["address", "uint32", "uint64"];
console.log(JSON.stringify(wanted.map((values) => {
  const tree = StandardMerkleTree.of(values, types, { sortLeaves: false });
  return { root: tree.root, proofs: values.map((_, k) => tree.getProof(k)) };
})));
"""


def _theirs(lists: list[list[payout_tree.Leaf]]) -> list[dict[str, object]]:
    node = shutil.which("node")
    if node is None or not (build.ROOT / "node_modules" / "@openzeppelin" / "merkle-tree").exists():
        missing("@openzeppelin/merkle-tree", "run `npm ci`")
    values = [[[TOKEN, str(payee), str(amount)] for payee, amount in leaves] for leaves in lists]
    done = subprocess.run(
        [node, "-e", SCRIPT], input=json.dumps(values), capture_output=True, text=True, check=True, cwd=build.ROOT
    )
    answer: list[dict[str, object]] = json.loads(done.stdout)
    return answer


def test_roots_and_proofs_are_those_of_openzeppelins_library() -> None:
    lists = [[(3 * k + 1, 10**k % (2**64 - 59)) for k in range(count)] for count in (1, 2, 3, 4, 5, 7, 8, 9, 33)]
    for leaves, theirs in zip(lists, _theirs(lists), strict=True):
        tree = payout_tree.build(TOKEN, leaves)
        assert "0x" + tree[0].hex() == theirs["root"]
        ours = [["0x" + node.hex() for node in payout_tree.prove(tree, k)] for k in range(len(leaves))]
        assert ours == theirs["proofs"]


def test_the_page_prints_a_root_that_anyone_can_recompute() -> None:
    leaves = [(1, 200_000), (2, 100_000), (5, 700_000)]
    root = "0x" + payout_tree.build(TOKEN, leaves)[0].hex()
    page = (build.ROOT / "docs" / "chain.md").read_text(encoding="utf-8")
    assert root in page
    assert _theirs([leaves])[0]["root"] == root


def test_a_proof_for_another_token_is_refused(devnet: Devnet) -> None:
    token, leaves = devnet.contracts["TestUSD"], [(1, 0), (2, 0)]
    other = payout_tree.build(TOKEN.replace("5Fb", "5Fc"), leaves)
    block = devnet.rpc("eth_getBlockByNumber", "latest", False)
    place = (int(block["number"], 16), bytes.fromhex(block["hash"][2:]), other[0], 0, bytes(32))
    devnet.transact(devnet.operator, "Market", "propose", token, 1, *place)
    devnet.advance(4 * 86_400)
    devnet.transact(devnet.operator, "Market", "accept", token, 1)
    with pytest.raises(Reverted, match="PayoutsInvalidProof"):
        devnet.transact(devnet.operator, "Market", "push", token, 2, 0, payout_tree.pack(leaves), [])
