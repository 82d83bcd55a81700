"""The one door to the outside: stores, chains, keys, scanners. No Django here, so that the client can use it too."""
