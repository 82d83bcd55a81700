"""Starts trade: tells evidence whom to call when something happened on chain or to a submission."""

from __future__ import annotations

from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    """The trade side, and the project."""

    name = "marketplace"
    verbose_name = "Trade"
