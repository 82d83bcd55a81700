"""The casts of trade and of the API, for faults that need a register."""

from tests.chain.conftest import _deployed_once, deployment, world
from tests.trade.conftest import register

__all__ = ["_deployed_once", "deployment", "register", "world"]
