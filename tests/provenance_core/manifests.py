"""File records and the manifests over them, for the tests of documents and bundles."""

from provenance.core.caip import Asset, AssetKind
from provenance.core.digest import Sha256
from provenance.core.file_record import FileRecord, sorted_records
from provenance.core.manifest import DataKind, Description, Visibility, make_manifest
from provenance.core.rights import Basis, Rights
from tests.provenance_core.statements import ADA, CHAIN, REGISTRY

OWN_WORK = Rights(source="my camera", basis=Basis.OWN_WORK)
PARENT = Asset(AssetKind.DATASET, CHAIN, REGISTRY, 3)


def record(path, content=b"x", *, records=1, salt=None):
    salt = Sha256.of(path.encode("utf-8", "surrogatepass")).raw[:16] if salt is None else salt
    return FileRecord(path, len(content), Sha256.of(content), "image/jpeg", records, salt)


def some_records(count=5):
    return sorted_records(record(f"photos/{number:05}.jpg", b"x" * number) for number in range(count))


def description(**changes):
    said = {
        "owner": ADA.account,
        "version": 1,
        "previous": None,
        "title": "Street photographs",
        "creator": "Ada",
        "description": "",
        "kind": DataKind.IMAGE,
        "languages": ("en", "pt-BR"),
        "collected_from": None,
        "collected_to": None,
        "parents": (PARENT,),
        "rights": (OWN_WORK,),
    }
    return Description(**{**said, **changes})


def manifest_of(records=None, visibility=Visibility.SEALED, **changes):
    return make_manifest(description(**changes), records or some_records(), visibility=visibility)[0]
