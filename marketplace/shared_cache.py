"""Django's cache, kept in the database: what sign-in remembers has to hold in every web process.

django-allauth counts wrong passwords and codes, sign-ups and letters in the cache, and remembers there which codes were
used. In a cache of each process's own, a limit of N would be N for every process, and a code could be used again in
another one. Nothing is ever pushed out by what others store; `limits.forget_before` deletes what has expired.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import transaction
from django.utils import timezone

from marketplace.models import CacheRow


class DatabaseCache(BaseCache):
    """Values are JSON and always expire; `add` is won by exactly one of all who try it at the same moment."""

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store a value unless there is one that has not expired; return whether it was stored."""
        name, expires = self.make_and_validate_key(key, version=version), self._expires(timeout)
        kept = {"value": value, "expires": expires}
        with transaction.atomic():
            _, created = CacheRow.objects.get_or_create(key=name, defaults=kept)
            return created or CacheRow.objects.filter(key=name, expires__lte=timezone.now()).update(**kept) == 1

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or `default` when there is none or it has expired."""
        rows = CacheRow.objects.filter(key=self.make_and_validate_key(key, version=version), expires__gt=timezone.now())
        row = rows.first()
        return default if row is None else row.value

    def set(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store a value, whatever stood there."""
        kept = {"value": value, "expires": self._expires(timeout)}
        CacheRow.objects.update_or_create(key=self.make_and_validate_key(key, version=version), defaults=kept)

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Let a value expire later; return whether there is one."""
        rows = CacheRow.objects.filter(key=self.make_and_validate_key(key, version=version), expires__gt=timezone.now())
        return rows.update(expires=self._expires(timeout)) == 1

    def delete(self, key: str, version: int | None = None) -> bool:
        """Forget a value; return whether there was one."""
        return CacheRow.objects.filter(key=self.make_and_validate_key(key, version=version)).delete()[0] == 1

    def clear(self) -> None:
        """Forget every value."""
        CacheRow.objects.all().delete()

    def _expires(self, timeout: Any) -> datetime:
        stamp = self.get_backend_timeout(timeout)
        if stamp is None:
            raise ValueError("What this cache keeps has to expire.")
        return datetime.fromtimestamp(stamp, tz=UTC)
