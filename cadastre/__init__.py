"""Cadastre for model builders and auditors: a Python client, and the command line `cadastre` on top of it.

>>> from cadastre import Client
>>> client = Client("https://cadastre.example", api_key="…")
>>> order = client.buy(offer=client.quote(dataset)["offer"], recipient=recipient)

`examples/license_and_train.py` is a whole program.
"""

from cadastre.client import Client
from cadastre.wallet import Wallet

__all__ = ["Client", "Wallet"]
