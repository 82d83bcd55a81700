"""An auditor's view of a chain through a node of their own: what `provenance.core.verify` asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from provenance.adapters.evm import EvmChain
from provenance.core.chain_checks import ChainUnavailable, LicenseState
from provenance.ports import CallRefused, ChainRefusal, EventLog

Answer = TypeVar("Answer")


class EvmAuditor:
    """See ChainReader. A node that is down or contradicts itself makes a step *not checked*, never failed."""

    def __init__(self, chain: EvmChain) -> None:
        self._chain = chain

    @property
    def chain_id(self) -> int:
        """The id that the node was checked to serve."""
        return self._chain.chain_id

    def finalized(self) -> int:
        """See ChainReader."""
        return _answered(lambda: self._chain.header("finalized").number)

    def events(self, tx: str) -> Sequence[EventLog]:
        """See ChainReader: the logs of the block that the receipt names, those of this transaction."""

        def ask() -> Sequence[EventLog]:
            receipt = self._chain.receipt(tx)
            if receipt is None or not receipt.succeeded:
                return ()
            return [log for log in self._chain.logs(receipt.block_hash) if log.tx == tx]

        return _answered(ask)

    def license(self, number: int) -> LicenseState | None:
        """See ChainReader."""

        def ask() -> LicenseState | None:
            try:
                found = self._chain.read("Market", "license", number)
            except CallRefused:
                return None
            active = self._chain.read("Market", "isActive", number, 0)
            return _license(found, active=bool(active))

        return _answered(ask)


def _license(found: object, *, active: bool) -> LicenseState | None:
    fields = dict(found) if isinstance(found, dict) else {}
    if not fields or int(fields["dataset"]) == 0:
        return None
    return LicenseState(int(fields["dataset"]), str(fields["licensee"]).lower(), int(fields["end"]), active)


def _answered(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except ChainRefusal as error:
        raise ChainUnavailable(
            "chain.down",
            f"The node gave no usable answer: {error.message}",
            todo="Try again, or give another RPC address.",
        ) from error
