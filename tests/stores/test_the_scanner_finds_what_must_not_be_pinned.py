"""Malware, programs and secrets are found before anything is pinned; ordinary data is not suspected."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provenance.adapters.scanner import _OVERLAP, _PATTERNS, EICAR, AllScanners, ClamdScanner, SignatureScanner
from provenance.ports import Finding, Scanner, ScannerRefusal

PRIVATE_KEY = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA" + b"q" * 60 + b"\n-----END RSA PRIVATE KEY-----\n"

AGE_IDENTITY = b"AGE-SECRET-KEY-1" + b"Q" * 58
SECRETS = (
    EICAR, PRIVATE_KEY, AGE_IDENTITY, b"AKIAIOSFODNN7EXAMPLE", b"ghp_" + b"a1" * 18, b"github_pat_" + b"b2" * 41,
    b"xoxb-1234567890-1234567890-" + b"c3" * 12,
)  # fmt: skip
PIECES = st.one_of(
    st.sampled_from(SECRETS),
    st.sampled_from([pattern.needle for pattern in _PATTERNS]),
    st.builds(lambda secret, end: secret[:end], st.sampled_from(SECRETS), st.integers(1, 30)),
    st.sampled_from((b" ", b"\n", b"-", b"A", b"x" * 600)),
)


def _findings(scanner: Scanner, data: bytes, *, step: int = 1000) -> tuple[Finding, ...]:
    scan = scanner.scan("data.bin")
    for start in range(0, len(data), step):
        scan.feed(data[start : start + step])
    return scan.finish()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"some text " * 300 + EICAR, "malware.eicar"),
        (b"config:\n" * 300 + PRIVATE_KEY, "secret.private_key"),
        (b"key = " + AGE_IDENTITY, "secret.age_identity"),
        (b"aws AKIAIOSFODNN7EXAMPLE ", "secret.aws_key"),
        (b"token ghp_" + b"a1" * 18 + b" ", "secret.github_token"),
        (b"token github_pat_" + b"b2" * 41 + b" ", "secret.github_token"),
        (b"token xoxb-1234567890-1234567890-" + b"c3" * 12 + b" ", "secret.slack_token"),
        (b"\x7fELF\x02\x01" + bytes(100), "program.header"),
        (b"MZ" + bytes(58) + (0x80).to_bytes(4, "little") + bytes(0x40) + b"PE\0\0", "program.header"),
    ],
)
def test_malware_programs_and_secrets_are_found(data: bytes, code: str) -> None:
    assert [finding.code for finding in _findings(SignatureScanner(), data)] == [code]


@pytest.mark.parametrize("step", [1, 7, 64, 511, 512, 513])
def test_what_lies_across_two_chunks_is_found_once_and_at_its_place(step: int) -> None:
    found = _findings(SignatureScanner(), b"x" * 1000 + PRIVATE_KEY + b"x" * 1000, step=step)
    assert [(finding.code, finding.offset) for finding in found] == [("secret.private_key", 1000)]


@given(st.lists(PIECES, max_size=12).map(b"".join), st.integers(1, 3000))
@example(b"AKI" + AGE_IDENTITY, 1000)  # the end of one needle is the beginning of another
def test_one_search_finds_what_one_after_the_other_would(data: bytes, step: int) -> None:
    expected: dict[str, int] = {}
    for start in range(0, len(data), step):
        first = max(0, start - _OVERLAP)
        for pattern in _PATTERNS:
            match = pattern.expression.search(data[first : start + step])
            if match is not None:
                expected.setdefault(pattern.code, first + match.start())
    found = _findings(SignatureScanner(), data, step=step)
    assert {finding.code: finding.offset for finding in found} == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        os.urandom(100_000),
        b"MZ is how this story begins, and it is a story." * 10,
        b"A key file begins with -----BEGIN RSA PRIVATE KEY----- and ends\nwith -----END RSA PRIVATE KEY-----.",
        b"-----BEGIN CERTIFICATE-----\n" + b"q" * 64,
        b"#!/bin/sh\necho a script is text",
    ],
)
def test_ordinary_data_is_not_suspected(data: bytes) -> None:
    assert _findings(SignatureScanner(), data) == ()


def test_no_scanner_at_all_is_refused() -> None:
    with pytest.raises(ScannerRefusal):
        AllScanners([])


class _Clamd:
    """A daemon that finds EICAR and accepts `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as reader:
            assert reader.read(10) == b"zINSTREAM\0"
            data = b""
            while length := int.from_bytes(reader.read(4)):
                data += reader.read(length)
                if len(data) > self._limit:
                    connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                    return
            connection.sendall(b"stream: Eicar-Test FOUND\0" if EICAR in data else b"stream: OK\0")

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def clamd() -> Iterator[_Clamd]:
    daemon = _Clamd(limit=10_000)
    yield daemon
    daemon.stop()


def test_a_virus_scanner_is_asked_and_believed(clamd: _Clamd) -> None:
    both = AllScanners([SignatureScanner(), ClamdScanner(clamd.address)])
    assert [finding.code for finding in _findings(both, EICAR)] == ["malware.eicar", "malware.clamd"]


def test_a_virus_scanner_that_finds_nothing_lets_pass(clamd: _Clamd) -> None:
    assert _findings(ClamdScanner(clamd.address), b"photograph" * 100) == ()


def test_a_file_beyond_the_scanners_limit_waits_instead_of_passing(clamd: _Clamd) -> None:
    with pytest.raises(ScannerRefusal) as refused:
        _findings(ClamdScanner(clamd.address), b"x" * 20_000)
    assert refused.value.code in {"scanner.too_large", "scanner.down"}


def test_a_scanner_that_does_not_run_lets_nothing_pass() -> None:
    with pytest.raises(ScannerRefusal) as refused:
        ClamdScanner("127.0.0.1:9", timeout=2).scan("photo.jpg")
    assert refused.value.code == "scanner.down"
