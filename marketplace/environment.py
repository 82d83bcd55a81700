"""Reading settings from the environment so that nonsense is refused at start and never guessed around.

Every name may also be given as `NAME_FILE`, the path of a file that holds the value (Docker and systemd secrets).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_env = environ.FileAwareEnv()


def text(name: str, default: str = "") -> str:
    """Return the value, without the newline that editors leave at the end of secret files."""
    return str(_env.str(name, default=default)).strip()


def choice(name: str, options: Sequence[str], default: str) -> str:
    """Return one of `options`. Raises ImproperlyConfigured, naming them."""
    value = text(name, default)
    if value not in options:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(options)}.")
    return value


def flag(name: str, *, default: bool) -> bool:
    """Return a boolean written as 1/0, true/false, yes/no or on/off. Raises ImproperlyConfigured."""
    value = text(name, "true" if default else "false").lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; write true or false.")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """Return an integer between `low` and `high`, both included. Raises ImproperlyConfigured."""
    value = text(name, str(default))
    if not value.isascii() or not value.isdigit():
        raise ImproperlyConfigured(f"{name} is {value!r}; write a whole number from {low} to {high}.")
    if not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name} is {value}; it must lie between {low} and {high}.")
    return int(value)


def listed(name: str, default: Sequence[str]) -> list[str]:
    """Return a comma-separated list without empty members. Raises ImproperlyConfigured when nothing is left."""
    value = [member.strip() for member in text(name, ",".join(default)).split(",") if member.strip()]
    if not value:
        raise ImproperlyConfigured(f"{name} is empty; name at least one, separated by commas.")
    return value


def folder(name: str, default: Path) -> Path:
    """Return an absolute path. Raises ImproperlyConfigured for a relative one, which would follow the shell around."""
    value = Path(text(name, str(default))).expanduser()
    if not value.is_absolute():
        raise ImproperlyConfigured(f"{name} is {str(value)!r}; write an absolute path.")
    return value


def address(name: str, default: str, schemes: Sequence[str]) -> str:
    """Return a URL with one of `schemes` and a host. Raises ImproperlyConfigured."""
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ImproperlyConfigured(f"{name} is {value!r}; write a URL that starts with {' or '.join(schemes)}://.")
    return value


def database(name: str, default: str) -> dict[str, object]:
    """Return Django's dictionary for a database URL (sqlite or PostgreSQL). Raises ImproperlyConfigured."""
    value = text(name, default)
    if urlsplit(value).scheme not in {"sqlite", "postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with sqlite:/// or postgresql://.")
    return dict(environ.Env.db_url_config(value))


def mail(name: str, default: str) -> dict[str, object]:
    """Return Django's e-mail settings for a URL such as smtp+tls://user:password@host:587."""
    found = dict(environ.Env.email_url_config(text(name, default)))
    if found.get("EMAIL_FILE_PATH"):
        # django-environ drops the slash that the path begins with: letters would lie below the working directory.
        found["EMAIL_FILE_PATH"] = f"/{found['EMAIL_FILE_PATH']}"
    return found
