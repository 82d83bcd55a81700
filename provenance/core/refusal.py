"""The one exception that every refusal shown to a person or a program derives from."""

from __future__ import annotations

Figure = int | str | None


class Refusal(Exception):
    """Something was refused: what, the limit, the actual value, and what to do about it.

    `code` is a stable dotted name such as `manifest.too_large`; programs branch on it, so it never changes.
    `limit` and `actual` are the two figures that disagreed, in the same unit, where there are figures.
    Subclass it per noun (`ManifestRefusal`), never per sentence.
    """

    def __init__(
        self, code: str, message: str, *, limit: Figure = None, actual: Figure = None, todo: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.limit = limit
        self.actual = actual
        self.todo = todo

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle by positional arguments; without this a refusal raised in a worker dies on its way back.
        return _restored, (type(self), self.code, self.message, (self.limit, self.actual, self.todo))

    def __str__(self) -> str:
        figures = [
            f"{name} {value}" for name, value in (("limit", self.limit), ("actual", self.actual)) if value is not None
        ]
        sentence = f"{self.message} ({', '.join(figures)})" if figures else self.message
        return f"{sentence} {self.todo}" if self.todo else sentence

    def as_problem(self) -> dict[str, object]:
        """Return the RFC 9457 members: type, title, detail, code and, where known, limit, actual, todo."""
        problem: dict[str, object] = {
            "type": f"urn:cadastre:problem:{self.code}",
            "title": self.message,
            "detail": str(self),
            "code": self.code,
        }
        problem |= {
            name: value
            for name, value in (("limit", self.limit), ("actual", self.actual), ("todo", self.todo))
            if value is not None
        }
        return problem


def _restored(kind: type[Refusal], code: str, message: str, rest: tuple[Figure, Figure, str | None]) -> Refusal:
    limit, actual, todo = rest
    return kind(code, message, limit=limit, actual=actual, todo=todo)
