"""The register of the trade tests, on a real chain, behind the site that commands speak to."""

from tests.trade.conftest import _deployed_once, ada, ben, cleo, deployment, mallory, now, register, world
from tests.trade.test_a_draft_becomes_a_listing import shop

__all__ = ["_deployed_once", "ada", "ben", "cleo", "deployment", "mallory", "now", "register", "shop", "world"]
