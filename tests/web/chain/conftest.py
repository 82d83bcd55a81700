"""The register of the trade tests, on a real chain, in front of pages."""

from tests.trade.conftest import _deployed_once, ada, ben, cleo, deployment, mallory, now, register, world

__all__ = ["_deployed_once", "ada", "ben", "cleo", "deployment", "mallory", "now", "register", "world"]
