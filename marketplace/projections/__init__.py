"""Folds over chain events, and what follows from final ones. `register` wires them to evidence's hooks."""

from __future__ import annotations

from marketplace.actions.adopted_transfers import adopt_transfers
from marketplace.projections.events import fold_event, refold
from marketplace.projections.finality import record_final
from marketplace.projections.intents import follow_intent
from marketplace.projections.submissions import follow_submission
from provenance import hooks

__all__ = ["register"]


def register() -> None:
    """Tell evidence whom to call; twice is once."""
    hooks.on_event(fold_event)
    hooks.on_final(record_final)
    hooks.on_rewind(refold)
    hooks.on_intent(follow_intent)
    hooks.on_submission(follow_submission)
    hooks.on_resume(adopt_transfers)
