"""What only a development chain can do: funds out of nothing, blocks on demand, reorganizations, time travel.

Every function refuses a node that is not anvil, so that none of it can be aimed at a chain that matters.
"""

from __future__ import annotations

from provenance.adapters.evm import EvmChain
from provenance.ports import ChainRefusal


class DevelopmentChain:
    """Commands of anvil on a chain."""

    def __init__(self, chain: EvmChain) -> None:
        version = str(chain.request("web3_clientVersion"))
        if not version.startswith("anvil"):
            raise ChainRefusal("chain.not_development", "That is not a development chain.", actual=version[:80])
        self._chain = chain

    def fund(self, address: str, wei: int) -> None:
        """Give an address at least `wei`."""
        if self._chain.balance(address) < wei:
            self._chain.request("anvil_setBalance", address, hex(wei))

    def mine(self, blocks: int = 1) -> None:
        """Mine empty blocks, or what waits in the pool."""
        self._chain.request("anvil_mine", hex(blocks))

    def set_automine(self, *, on: bool) -> None:
        """Mine each transaction at once, or none by itself."""
        self._chain.request("evm_setAutomine", on)

    def reorg(self, depth: int) -> None:
        """Replace the last `depth` blocks by empty ones with other hashes."""
        self._chain.request("anvil_reorg", depth, [])

    def drop(self, tx: str) -> None:
        """Forget a waiting transaction."""
        self._chain.request("anvil_dropTransaction", tx)

    def advance(self, seconds: int) -> None:
        """Let the next block be `seconds` later than now."""
        self._chain.request("evm_increaseTime", seconds)
        self.mine()

    def snapshot(self) -> str:
        """Remember the whole state; return its id."""
        return str(self._chain.request("evm_snapshot"))

    def restore(self, snapshot: str) -> None:
        """Go back to a snapshot: the chain comes back behind whoever read it."""
        self._chain.request("evm_revert", snapshot)
