"""Starts trade: tells evidence whom to call, and makes the transactions of trade known to the outbox."""

from __future__ import annotations

from django.apps import AppConfig


class MarketplaceConfig(AppConfig):
    """The trade side, and the project."""

    name = "marketplace"
    verbose_name = "Trade"

    def ready(self) -> None:
        """Wire hooks and kinds of intents; in every process, because each may write intents."""
        from marketplace import market_kinds, projections, wallet_kinds
        from marketplace.celery import app

        app.finalize()
        market_kinds.register_kinds()
        wallet_kinds.register_kinds()
        projections.register()
