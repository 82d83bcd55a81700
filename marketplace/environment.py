"""Reading settings from the environment so that nonsense is refused at start and never guessed around.

Every name may also be given as `NAME_FILE`, the path of a file that holds the value (Docker and systemd secrets).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

_env = environ.FileAwareEnv()


def text(name: str, default: str = "") -> str:
    """Return the value, without the newline that editors leave at the end of secret files.

    Raises ImproperlyConfigured when its file cannot be read: who runs this may not be who wrote it.
    """
    try:
        return str(_env.str(name, default=default)).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ImproperlyConfigured(
            f"{name}_FILE is {_env.str(f'{name}_FILE')!r}, which cannot be read: {why}."
        ) from error


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


def hosts(name: str, default: Sequence[str]) -> list[str]:
    """Return host names. Raises ImproperlyConfigured for what no request would ever name: a URL, a port."""
    value = listed(name, default)
    for member in value:
        if set(member) & set("/ ") or (":" in member and not member.startswith("[")):
            raise ImproperlyConfigured(f"{name} has {member!r}; write names of hosts, without https:// and port.")
    return value


def people(name: str) -> list[str]:
    """Return e-mail addresses, none when the setting is absent. Raises ImproperlyConfigured."""
    value = [member.strip() for member in text(name).split(",") if member.strip()]
    for member in value:
        try:
            validate_email(member)
        except ValidationError as error:
            message = f"{name} has {member!r}; write e-mail addresses, separated by commas."
            raise ImproperlyConfigured(message) from error
    return value


def address(name: str, default: str, schemes: Sequence[str]) -> str:
    """Return a URL with one of `schemes` and a host. Raises ImproperlyConfigured."""
    value = text(name, default).rstrip("/")
    parts = _parts(name, value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ImproperlyConfigured(f"{name} is {value!r}; write a URL that starts with {' or '.join(schemes)}://.")
    return value


def origin(name: str, default: str, schemes: Sequence[str]) -> str:
    """Return a URL that names a host and nothing below it: pages stand at its root. Raises ImproperlyConfigured."""
    value = address(name, default, schemes)
    parts = urlsplit(value)
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; write {parts.scheme}://{parts.hostname} and nothing after it."
        )
    return value


def node(name: str, default: str) -> str:
    """Return the multiaddress or the URL of a node's HTTP API. Raises ImproperlyConfigured."""
    value = text(name, default)
    if not value.startswith("/") and _parts(name, value).scheme not in {"http", "https"}:
        raise ImproperlyConfigured(f"{name} is {value!r}; write {default} or a URL.")
    return value


def daemon(name: str) -> str:
    """Return `host:port` or the path of a socket, empty when the setting is absent. Raises ImproperlyConfigured."""
    value = text(name)
    if value and not value.startswith("/") and not value.rpartition(":")[2].isdecimal():
        raise ImproperlyConfigured(f"{name} is {value!r}; write host:port, or the path of a socket.")
    return value


def database(name: str, default: str) -> dict[str, object]:
    """Return Django's dictionary for a database URL (sqlite or PostgreSQL). Raises ImproperlyConfigured."""
    value = text(name, default)
    scheme = _parts(name, value).scheme
    if scheme not in {"sqlite", "postgres", "postgresql"}:
        raise ImproperlyConfigured(f"{name} must start with sqlite:/// or postgresql://.")
    found = dict(environ.Env.db_url_config(value))
    if not found["NAME"]:
        raise ImproperlyConfigured(f"{name} names no database; write postgresql://user:password@host/name.")
    if scheme == "sqlite" and not Path(str(found["NAME"])).is_absolute():
        raise ImproperlyConfigured(f"{name} must name an absolute path: sqlite:////srv/cadastre.sqlite3, four slashes.")
    return found


def mail(name: str, default: str) -> dict[str, object]:
    """Return Django's e-mail settings for a URL such as smtp+tls://user:password@host:587."""
    value = text(name, default)
    scheme = _parts(name, value).scheme
    if scheme not in environ.Env.EMAIL_SCHEMES:
        known = ", ".join(sorted(environ.Env.EMAIL_SCHEMES))
        raise ImproperlyConfigured(f"{name} must start with one of {known}, followed by ://.")
    found = dict(environ.Env.email_url_config(value))
    if found.get("EMAIL_FILE_PATH"):
        # django-environ drops the slash that the path begins with: letters would lie below the working directory.
        found["EMAIL_FILE_PATH"] = f"/{found['EMAIL_FILE_PATH']}"
    return found


def _parts(name: str, value: str) -> SplitResult:
    """Split a URL. Raises ImproperlyConfigured without repeating it: it may hold a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is no URL: {error}.") from error
    return parts
