"""Names of uploaded files: which are accepted, and how a refused one is shown without harm."""

from __future__ import annotations

import unicodedata

from provenance.core.refusal import Refusal
from provenance.core.unixfs.directory import DEPTH_LIMIT

# Overrides of writing direction make `gpj.exe` read as `exe.jpg`; joiners, which emoji need, are not among them.
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_JOINERS = frozenset("\u200c\u200d")
# Letters and symbols that are drawn as nothing.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_SHOWN = 80


class PathRefusal(Refusal):
    """A file name is not accepted."""


def submitted_path(text: str, *, limit: int) -> str:
    """Return the NFC form of a relative `/`-separated path of at most `limit` UTF-8 bytes. Raises PathRefusal."""
    path = unicodedata.normalize("NFC", text)
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _refused("encoding", "A file name is not valid UTF-8.", text) from error
    if not path:
        raise _refused("empty", "A file name is empty.", text)
    if size > limit:
        raise PathRefusal(
            "path.too_long", f"The path {shown(path)} is too long.", limit=limit, actual=size,
            todo="Shorten the names of the file and its folders.",
        )  # fmt: skip
    if any(is_control(character) for character in path):
        raise _refused("control", "A file name contains a line break or another control character.", text)
    if "\\" in path:
        raise _refused("backslash", "A path contains a backslash, which other systems read as a folder.", text)
    segments = path.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise _refused("segments", "A path leaves its folder: it is absolute, or contains '..', '.' or '//'.", text)
    if len(segments) > DEPTH_LIMIT:
        raise PathRefusal(
            "path.depth", f"The path {shown(path)} is too deep.", limit=DEPTH_LIMIT, actual=len(segments),
            todo="Use fewer folders inside each other.",
        )  # fmt: skip
    return path


def shown(text: str) -> str:
    """Return a name as it may stand in a message: control characters escaped, cut to 80 characters, in quotes."""
    escaped = "".join(
        character.encode("unicode_escape").decode("ascii") if is_control(character) else character for character in text
    )
    escaped = escaped.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"“{escaped if len(escaped) <= _SHOWN else escaped[: _SHOWN - 1] + '…'}”"


def ancestors_of(path: str) -> list[str]:
    """Return the folders that a path lies in, outermost first."""
    segments = path.split("/")
    return ["/".join(segments[:depth]) for depth in range(1, len(segments))]


def is_control(character: str) -> bool:
    """Say whether a character breaks lines, is not seen, or turns the direction of what follows it."""
    return unicodedata.category(character) in {"Cc", "Zl", "Zp"} or character in _DIRECTION


def is_unseen(character: str) -> bool:
    """Say whether a character has no place in a name that others tell people or datasets apart by.

    Beside `is_control`, what is drawn as nothing: with it a name looks like somebody else's, or like none.
    """
    formats = unicodedata.category(character) == "Cf" and character not in _JOINERS
    return formats or character in _BLANK or is_control(character)


def _refused(code: str, message: str, text: str) -> PathRefusal:
    return PathRefusal(f"path.{code}", message, actual=shown(text), todo="Rename the file and add it again.")
