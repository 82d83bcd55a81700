"""UnixFS DAGs under the profile `unixfs-v1-2025` (IPIP-499), written and read here, never by a node.

CIDv1, SHA-256, 1 MiB chunks, raw leaves, balanced DAG of width 1,024, directories sharded as a HAMT when their
block would exceed 262,144 bytes. `docs/algorithms/content.md` works through each of these figures.
"""
