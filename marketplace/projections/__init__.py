"""Folds over chain events, and what follows from final ones."""
