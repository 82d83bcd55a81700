"""The public register again from chain and content stores: catalogue, lineage, licenses, balances, log."""
