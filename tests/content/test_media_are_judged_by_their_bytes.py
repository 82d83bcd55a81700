import contextlib
import gzip
import io
import pickle
import tarfile
import zipfile

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from provenance.media import HEAD_BYTES, Media, MediaRefusal, sniff_media


def picture(kind):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, kind)
    return out.getvalue()


def zipped(name="../../etc/cron.d/evil"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "owned")
    return out.getvalue()


def tarred():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return out.getvalue()


def table(write):
    out = io.BytesIO()
    getattr(pl.DataFrame({"a": [1, 2]}), write)(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "path", "media_type", "kind"),
    [
        (picture("PNG"), "a.txt", "image/png", "image"),
        (picture("JPEG"), "a.jpg", "image/jpeg", "image"),
        (picture("GIF"), "a", "image/gif", "image"),
        (picture("WEBP"), "a", "image/webp", "image"),
        (picture("TIFF"), "a", "image/tiff", "image"),
        (picture("BMP"), "a", "image/bmp", "image"),
        (table("write_parquet"), "a.csv", "application/vnd.apache.parquet", "table"),
        (table("write_ipc"), "a", "application/vnd.apache.arrow.file", "table"),
        (b"a,b\n1,2\n", "t.CSV", "text/csv", "table"),
        (b"a\tb\n1\t2\n", "t.tsv", "text/tab-separated-values", "table"),
        (b'{"text": "one"}\n{"text": "two"}\n', "c.jsonl", "application/jsonl", "text"),
        (b'{"text": "one"}\n{"text": "two"}\n', "c.json", "application/jsonl", "text"),
        (b"[\n1,\n2]", "c.json", "application/json", "text"),
        ("# Título\n".encode(), "README.md", "text/markdown", "text"),
        ("日本語の文章".encode(), "noname", "text/plain", "text"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "page", "text/html", "text"),
        (b'<svg onload="alert(1)">', "a.png", "image/svg+xml", "text"),
        (b"BM is how this sentence begins.", "a.txt", "text/plain", "text"),
        (b"MZ is a district.", "a.txt", "text/plain", "text"),
        (b"fLaC\0\0\0\x22", "a", "audio/flac", "audio"),
        (bytes(range(256)), "a.bin", "application/octet-stream", ""),
        (b"", "empty.csv", "application/x-empty", ""),
    ],
)
def test_content_decides_and_the_name_only_between_texts(data, path, media_type, kind):
    media = sniff_media(data[:HEAD_BYTES], path)
    assert (media.media_type, media.kind) == (media_type, kind)


@pytest.mark.parametrize(
    ("data", "name"),
    [(zipped(), "zip"), (tarred(), "tar"), (gzip.compress(b"x" * 100, mtime=0), "gzip"), (b"7z\xbc\xaf'\x1c..", "7z")],
)
def test_archives_are_refused_and_it_is_said_what_to_do(data, name):
    with pytest.raises(MediaRefusal) as refused:
        sniff_media(data[:HEAD_BYTES], "photos.zip")
    assert (refused.value.code, refused.value.actual) == ("media.archive", name)
    assert "add the folder" in refused.value.todo


def test_a_pickle_is_labelled_and_never_loaded():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    media = sniff_media(pickle.dumps(Bomb()), "weights.pt")
    assert media.label == "runs code when it is loaded"


def test_a_letter_cut_in_two_at_the_end_of_the_head_is_still_text():
    data = "é".encode() * HEAD_BYTES
    assert sniff_media(data[: HEAD_BYTES - 1], "a").kind == "text"


@given(st.binary(max_size=600), st.text(max_size=20))
def test_any_bytes_are_judged_or_refused_as_an_archive(head, path):
    with contextlib.suppress(MediaRefusal):
        assert isinstance(sniff_media(head, path), Media)
