"""Exact bytes of documents by their digest, beside the copy in the content store."""

from __future__ import annotations

import hashlib
from typing import Self

from django.db import models
from django.utils import timezone


class Document(models.Model):
    """The bytes that a digest on chain or in the log stands for. Rows never change: the key is their SHA-256."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    schema = models.CharField(max_length=64, help_text="cadastre.manifest/1, cadastre.offer/1 …")
    data = models.BinaryField()
    public = models.BooleanField(default=True, help_text="False: kept here and given to those who may read it")
    created = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.schema} {self.sha256}"

    @classmethod
    def create_from_bytes(cls, data: bytes, *, schema: str, public: bool = True) -> Self:
        """Keep canonical bytes; keeping the same bytes twice is keeping them once."""
        row, _ = cls.objects.get_or_create(
            sha256=hashlib.sha256(data).hexdigest(),
            defaults={"schema": schema, "data": data, "public": public},
        )
        return row

    @property
    def content(self) -> bytes:
        """The bytes, whatever buffer type the database driver hands out."""
        return bytes(self.data)
