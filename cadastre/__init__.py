"""Cadastre for model builders and auditors: a Python client, and the command line `cadastre` on top of it.

>>> from cadastre import Client
>>> client = Client("https://cadastre.example", api_key="…")
>>> order = client.buy(offer=client.quote(dataset)["offer"], recipient=recipient)

`examples/license_and_train.py` is a whole program. What a site refuses is raised as `ApiRefusal`, everything else that
is refused as another `Refusal`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cadastre.client import Client
    from cadastre.wallet import Wallet
    from provenance.adapters.http_api import ApiRefusal
    from provenance.core.refusal import Refusal

__version__ = "0.1.0"
__all__ = ["ApiRefusal", "Client", "Refusal", "Wallet"]

_HOMES = {
    "ApiRefusal": "provenance.adapters.http_api",
    "Client": "cadastre.client",
    "Refusal": "provenance.core.refusal",
    "Wallet": "cadastre.wallet",
}


def __getattr__(name: str) -> object:
    """Load a name when it is first asked for: the command line begins without them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
