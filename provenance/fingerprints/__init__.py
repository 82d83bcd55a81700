"""Fingerprints: bytes -> sketches that survive harmless changes, the index that finds them, and the gate that decides.

Start at `registry`: it says which algorithm a kind of file gets and runs it. `index` searches, `gate` decides.
"""
