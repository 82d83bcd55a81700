"""Cadastre for model builders and auditors: a Python client, and the command line `cadastre` on top of it.

>>> from cadastre import Client
>>> client = Client("https://cadastre.example", api_key="…")
>>> order = client.buy(dataset, recipient=recipient)
"""

from cadastre.client import Client

__all__ = ["Client"]
