// Builds OpenZeppelin's own tree over the leaves that bench/settlement.py describes; prints its root and seconds.
import { StandardMerkleTree } from "@openzeppelin/merkle-tree";

const [token, count] = [process.argv[2], Number(process.argv[3])];
const values = Array.from({ length: count }, (_, k) => [token, String(k + 1), String(1_000_003n * BigInt(k + 1))]);
const before = process.hrtime.bigint();
const tree = StandardMerkleTree.of(values, ["address", "uint32", "uint64"], { sortLeaves: false });
const seconds = Number(process.hrtime.bigint() - before) / 1e9;
console.log(JSON.stringify({ root: tree.root, seconds }));
