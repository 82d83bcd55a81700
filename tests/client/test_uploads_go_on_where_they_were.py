import base64
import hashlib

import pytest

from cadastre.client import Client
from cadastre.folder import files_of
from provenance.adapters import http_api
from provenance.adapters.http_api import TRIES, ApiConnection, ApiRefusal
from tests.client.site import Answer, problem

LOCATION = "/api/v1/uploads/7"


class Tus:
    """The server's side of one upload; `losses` says after which pieces the connection breaks, and with what kept."""

    def __init__(self, site, size, losses=()):
        self.size, self.data, self.losses, self.pieces = size, b"", list(losses), 0
        site.on("HEAD", LOCATION, lambda _asked: self.standing(200))
        site.on("PATCH", LOCATION, self.patch)

    def standing(self, status):
        return Answer(b"", status, {"Upload-Offset": str(len(self.data)), "Upload-Length": str(self.size)})

    def patch(self, asked):
        self.pieces += 1
        if int(asked.headers["upload-offset"]) != len(self.data):
            return problem(409, "upload.offset", "The upload stands elsewhere.")
        checksum = "sha256 " + base64.b64encode(hashlib.sha256(asked.body).digest()).decode()
        assert asked.headers["upload-checksum"] == checksum
        if self.losses:
            kept = self.losses.pop(0)
            if kept is not None:
                self.data += asked.body[:kept]
                return Answer(lost=True)
        self.data += asked.body
        return self.standing(204)


@pytest.fixture
def connection(site, monkeypatch):
    monkeypatch.setattr(http_api, "PIECE_BYTES", 1000)
    with ApiConnection(site.url) as made:
        yield made


@pytest.fixture
def payload(tmp_path):
    path = tmp_path / "payload"
    path.write_bytes(bytes(range(256)) * 15)
    return path


def send(connection, path):
    seen = []
    with path.open("rb") as file:
        connection.upload(LOCATION, file, size=path.stat().st_size, progress=seen.append)
    return seen


@pytest.mark.parametrize("kept", [0, 1, 999, 1000])
def test_a_dropped_upload_goes_on_at_the_byte_that_the_site_has(site, connection, payload, kept):
    tus = Tus(site, 3840, losses=[None, kept, None, kept])
    seen = send(connection, payload)
    assert tus.data == payload.read_bytes()
    assert seen == sorted(seen)
    assert seen[-1] == 3840


def test_an_upload_that_was_there_already_sends_nothing(site, connection, payload):
    tus = Tus(site, 3840)
    tus.data = payload.read_bytes()
    send(connection, payload)
    assert tus.pieces == 0


def test_any_number_of_drops_is_survived_while_bytes_arrive(site, connection, payload):
    tus = Tus(site, 3840, losses=[100] * (2 * TRIES))
    send(connection, payload)
    assert tus.data == payload.read_bytes()


def test_an_upload_that_does_not_move_is_given_up(site, connection, payload):
    tus = Tus(site, 3840, losses=[0] * 100)
    with pytest.raises(ApiRefusal):
        send(connection, payload)
    assert tus.pieces == TRIES


def test_an_expired_upload_is_refused_at_once(site, connection, payload):
    site.on("HEAD", LOCATION, Answer(b"", 200, {"Upload-Offset": "0"}))
    site.on("PATCH", LOCATION, problem(410, "upload.expired", "The upload has expired."))
    with pytest.raises(ApiRefusal, match="expired"):
        send(connection, payload)
    assert len(site.requests("PATCH", LOCATION)) == 1


def test_a_file_that_shrinks_while_it_is_sent_is_refused(site, connection, payload):
    Tus(site, 5000)
    with payload.open("rb") as file, pytest.raises(ApiRefusal) as refused:
        connection.upload(LOCATION, file, size=5000, progress=print)
    assert refused.value.code == "api.file_changed"


class Draft:
    """A draft with its list of files."""

    def __init__(self, site, *there):
        self.site, self.uploads = site, {}
        site.on("GET", "/api/v1/drafts/d/files", {"results": list(there), "next": None})
        site.on("POST", "/api/v1/drafts/d/files", self.create)
        site.on("DELETE", LOCATION, Answer(b"", 204))

    def create(self, asked):
        pairs = (pair.split(" ") for pair in asked.headers["upload-metadata"].split(","))
        self.announced = {name: base64.b64decode(value).decode() for name, value in pairs}
        return Answer({"upload": LOCATION}, 201, {"Location": LOCATION})


def test_a_folder_is_announced_with_paths_and_digests(site, payload):
    tus, draft = Tus(site, 3840), Draft(site)
    with Client(site.url) as client:
        client.upload("d", files_of(payload.parent))
    assert draft.announced == {"path": "payload", "sha256": hashlib.sha256(payload.read_bytes()).hexdigest()}
    assert tus.data == payload.read_bytes()


def test_a_file_that_is_half_there_is_not_announced_again(site, payload):
    tus = Tus(site, 3840)
    tus.data = payload.read_bytes()[:1500]
    Draft(site, {"path": "payload", "bytes": 3840, "upload": LOCATION})
    with Client(site.url) as client:
        client.upload("d", files_of(payload.parent))
    assert tus.data == payload.read_bytes()
    assert site.requests("POST", "/api/v1/drafts/d/files") == []


def test_a_file_that_changed_its_size_replaces_the_one_that_is_there(site, payload):
    tus = Tus(site, 3840)
    Draft(site, {"path": "payload", "bytes": 12, "upload": LOCATION})
    with Client(site.url) as client:
        client.upload("d", files_of(payload.parent))
    assert len(site.requests("DELETE", LOCATION)) == 1
    assert tus.data == payload.read_bytes()
