"""What evidence tells trade, without importing it: callables that `marketplace.apps` registers at start.

Every callable runs inside the transaction of the rows that it is told about, so it does no slow I/O, and it must be
safe twice: a block that is orphaned and mined again tells its story again. Only `on_resume` runs outside of any
transaction, because it reads the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from provenance.models import ChainEvent, Deployment, Intent

Receiver = TypeVar("Receiver")

OnEvent = Callable[["ChainEvent"], None]
OnRewind = Callable[["Deployment", Sequence[str]], None]
OnSubmission = Callable[[UUID, str], None]
OnIntent = Callable[["Intent"], None]
OnResume = Callable[["Deployment", int, datetime], object]

_on_event: list[OnEvent] = []
_on_final: list[OnEvent] = []
_on_rewind: list[OnRewind] = []
_on_submission: list[OnSubmission] = []
_on_intent: list[OnIntent] = []
_on_resume: list[OnResume] = []


def on_event(receiver: OnEvent) -> OnEvent:
    """Register a callable for each chain event as it is first followed, before it is final."""
    return _registered(_on_event, receiver)


def on_final(receiver: OnEvent) -> OnEvent:
    """Register a callable for each chain event once its block is final."""
    return _registered(_on_final, receiver)


def on_rewind(receiver: OnRewind) -> OnRewind:
    """Register a callable for the subjects (`dataset/12`, `license/5`) of a deployment whose events a reorg took back.

    It folds its projections of these subjects again, from the events that are left.
    """
    return _registered(_on_rewind, receiver)


def on_submission(receiver: OnSubmission) -> OnSubmission:
    """Register a callable for changes of a submission's state."""
    return _registered(_on_submission, receiver)


def on_intent(receiver: OnIntent) -> OnIntent:
    """Register a callable for changes of an intent's state (mined, final, failed, expired)."""
    return _registered(_on_intent, receiver)


def on_resume(receiver: OnResume) -> OnResume:
    """Register a callable for lanes that go on after transactions that are not in the database.

    It is given the deployment, the block of the last one that is, and the time. A refusal leaves the lane paused.
    """
    return _registered(_on_resume, receiver)


def tell_event(event: ChainEvent) -> None:
    """Tell every registered callable about a followed event."""
    for receiver in _on_event:
        receiver(event)


def tell_final(event: ChainEvent) -> None:
    """Tell every registered callable about a final event."""
    for receiver in _on_final:
        receiver(event)


def tell_rewind(deployment: Deployment, subjects: Sequence[str]) -> None:
    """Tell every registered callable which subjects lost events."""
    for receiver in _on_rewind:
        receiver(deployment, subjects)


def tell_submission(submission_id: UUID, state: str) -> None:
    """Tell every registered callable about a submission's new state."""
    for receiver in _on_submission:
        receiver(submission_id, state)


def tell_intent(intent: Intent) -> None:
    """Tell every registered callable about an intent's new state."""
    for receiver in _on_intent:
        receiver(intent)


def tell_resume(deployment: Deployment, since: int, now: datetime) -> None:
    """Tell every registered callable that a lane goes on; what its unknown transactions did is on chain."""
    for receiver in _on_resume:
        receiver(deployment, since, now)


def _registered(receivers: list[Receiver], receiver: Receiver) -> Receiver:
    # Registering twice is what a reloading server does; telling twice would book twice.
    if receiver not in receivers:
        receivers.append(receiver)
    return receiver
