"""A log in memory with its key, for the tests of checkpoints, tiles, proofs and bundles."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provenance.core.checkpoint import Checkpoint, VerifierKey, sign_checkpoint
from provenance.core.merkle import MerkleTree, leaf_hash, tree_root
from provenance.core.tiles import bundle_bytes, new_bundles, new_tiles, tile_bytes
from provenance.core.tlogproof import TlogProof


def ed25519(seed):
    """A key that is the same in every run."""
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def public_bytes(private):
    return private.public_key().public_bytes_raw()


class Log:
    """Entries, their tree, and one operator's key."""

    def __init__(self, origin="log.example/cadastre", seed=1, entries=()):
        self.origin = origin
        self.private = ed25519(seed)
        self.vkey = VerifierKey(origin, public_bytes(self.private))
        self.entries = []
        self.tree = MerkleTree()
        for entry in entries:
            self.append(entry)

    def append(self, entry):
        self.entries.append(entry)
        self.tree.extend([leaf_hash(entry)])
        return len(self.entries) - 1

    def checkpoint(self, size=None):
        size = len(self.entries) if size is None else size
        return Checkpoint(self.origin, size, tree_root(size, self.tree.get_hash))

    def note(self, size=None):
        return sign_checkpoint(self.checkpoint(size), self.vkey, self.private.sign)

    def proof(self, index, size=None):
        path = self.tree.inclusion_proof(index, size)
        return TlogProof(index, tuple(path), self.note(size))

    def files(self, old_size=0):
        """Every file to serve after growing from `old_size`, by path."""
        size = len(self.entries)
        files = {tile.path: tile_bytes(tile, self.tree.get_hash) for tile in new_tiles(old_size, size)}
        for bundle in new_bundles(old_size, size):
            first = bundle.index * 256
            files[bundle.path] = bundle_bytes(self.entries[first : first + bundle.width])
        return files
