"""The evidence half of the register as a Django application."""

from __future__ import annotations

from django.apps import AppConfig


class ProvenanceConfig(AppConfig):
    """Registers the models and the intent kinds that evidence itself sends to the chain."""

    name = "provenance"
    label = "provenance"
    verbose_name = "Provenance"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the evidence's own intent kinds known to the outbox."""
        from provenance import registry_calls  # models must be loaded first

        registry_calls.register_kinds()
