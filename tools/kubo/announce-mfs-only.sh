#!/bin/sh
# Sealed data is pinned but never announced; what may be announced is linked into MFS by the store.
set -e
ipfs config Provide.Strategy mfs
