"""Epochs: close, propose, accept, push, reconcile."""
