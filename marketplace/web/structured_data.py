"""What search engines and loaders read about a dataset: schema.org and Croissant 1.1 in one JSON-LD document.

Source: http://mlcommons.org/croissant/1.1. Open data lists its files with their SHA-256 and IPFS addresses; of sealed
data the document names the public manifest only, because names and digests of its files are private.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from marketplace.core.money import Amount, Token
from marketplace.core.terms import Terms
from marketplace.models import Listing, OfferRow

CONFORMS = "http://mlcommons.org/croissant/1.1"
FILES_LIMIT = 500
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
# In HTML `<` could end the script element; JSON has another way to write it.
_ESCAPES = str.maketrans({"<": "\\u003C", ">": "\\u003E", "&": "\\u0026"})


def croissant(
    *,
    slug: str,
    manifest: dict[str, Any],
    manifest_digest: str,
    version: int,
    published: str,
    root: str,
    listing: Listing | None,
    offer: OfferRow | None,
    terms: Terms | None,
    token: Token | None,
    parents: list[str],
) -> dict[str, Any]:
    """Return the document. `published` is an ISO date, `root` the package's CID or empty; `parents` are ids."""
    page = settings.CADASTRE_PUBLIC_URL + reverse("dataset", args=[slug])
    found: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "@id": page,
        "conformsTo": CONFORMS,
        "name": manifest["title"],
        "description": manifest["description"] or manifest["title"],
        "url": page,
        "identifier": [f"sha256:{manifest_digest}"],
        "version": f"{version}.0.0",
        "datePublished": published,
        "creator": {"@type": "sc:Person", "name": manifest["creator"]},
        "publisher": {"@type": "sc:Organization", "name": "Cadastre", "url": settings.CADASTRE_PUBLIC_URL},
        "citeAs": f"{manifest['creator']}: {manifest['title']}, version {version}. {page}/v/{version}",
        "inLanguage": manifest["languages"],
        "isAccessibleForFree": manifest["visibility"] == "open" or (offer is not None and offer.price == 0),
        "distribution": _distribution(manifest, manifest_digest, root),
    }
    if parents:
        found["isBasedOn"] = [settings.CADASTRE_PUBLIC_URL + reverse("dataset", args=[parent]) for parent in parents]
    if offer is not None and terms is not None:
        found["license"] = _license(offer, terms)
        if token is not None:
            found["offers"] = _offer(offer, token)
    if listing is not None:
        found["keywords"] = [listing.kind, *listing.uses]
    return found


def as_script(document: dict[str, Any]) -> SafeString:
    """Return JSON for the inside of a `<script type="application/ld+json">`: data, which no browser runs."""
    return mark_safe(json.dumps(document, ensure_ascii=False).translate(_ESCAPES))  # noqa: S308  # `<`, `>`, `&` are written otherwise


def _license(offer: OfferRow, terms: Terms) -> str:
    if terms.spdx is not None:
        return f"https://spdx.org/licenses/{terms.spdx}.html"
    return settings.CADASTRE_PUBLIC_URL + reverse("sha256", args=[offer.terms_id])


def _offer(offer: OfferRow, token: Token) -> dict[str, Any]:
    return {
        "@type": "sc:Offer",
        "price": Amount(offer.price, token).written,
        "priceCurrency": token.symbol,
        "url": settings.CADASTRE_PUBLIC_URL + reverse("checkout", args=[offer.digest]),
    }


def _distribution(manifest: dict[str, Any], digest: str, root: str) -> list[dict[str, Any]]:
    document = {
        "@type": "cr:FileObject",
        "@id": "manifest",
        "name": "manifest.json",
        "description": "The public manifest: what this version is. Its SHA-256 stands on chain.",
        "contentUrl": settings.CADASTRE_PUBLIC_URL + reverse("sha256", args=[digest]),
        "encodingFormat": "application/json",
        "sha256": digest,
    }
    records = list(manifest.get("files") or [])[:FILES_LIMIT] if root else []
    return [document, *(_file(number, record, root) for number, record in enumerate(records))]


def _file(number: int, record: dict[str, Any], root: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"file-{number}",
        "name": re.sub(r"[^\w.-]+", "_", record["path"]),
        "description": record["path"],
        "contentUrl": f"ipfs://{root}/{record['path']}",
        "contentSize": f"{record['bytes']} B",
        "encodingFormat": record["media_type"],
        "sha256": record["sha256"],
    }
