import pytest

from cadastre.client import Client
from provenance.adapters.http_api import ApiConnection, ApiRefusal
from tests.client.site import Answer, FakeSite

ME = {
    "account": {"slug": "cleo", "display_name": "Cleo"}, "scopes": ["read"],
    "balance": {"available": {"text": "1.00 TUSD"}, "held": {"text": "0.00 TUSD"}},
}  # fmt: skip


@pytest.mark.parametrize(
    "address", ["http://cadastre.example", "http://10.0.0.7:8000", "http://127.0.0.1.evil.example"]
)
def test_a_key_is_never_sent_unencrypted_to_another_machine(address):
    with pytest.raises(ApiRefusal) as refused:
        ApiConnection(address, api_key="cad_secret")
    assert refused.value.code == "api.plain"
    assert "cad_secret" not in str(refused.value)
    ApiConnection(address).close()


@pytest.mark.parametrize(
    "address", ["https://cadastre.example", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"]
)
def test_a_key_is_accepted_for_encrypted_sites_and_this_machine(address):
    ApiConnection(address, api_key="cad_secret").close()


@pytest.mark.parametrize(
    "address", ["cadastre.example", "ftp://cadastre.example", "http://", "https://ada:pw@cadastre.example"]
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ApiRefusal) as refused:
        ApiConnection(address)
    assert refused.value.code == "api.address"


def test_links_to_other_sites_are_not_followed(site):
    with FakeSite() as elsewhere, Client(site.url, api_key="cad_secret") as client:
        site.on("GET", "/api/v1/datasets", {"results": [{"id": "1"}], "next": f"{elsewhere.url}/api/v1/datasets"})
        with pytest.raises(ApiRefusal) as refused:
            list(client.search())
        assert refused.value.code == "api.foreign"
        assert elsewhere.asked == []


def test_redirects_are_not_followed(site):
    with FakeSite() as elsewhere, Client(site.url, api_key="cad_secret") as client:
        site.on("GET", "/api/v1/me", Answer(status=302, headers={"Location": f"{elsewhere.url}/api/v1/me"}))
        with pytest.raises(ApiRefusal, match="302"):
            client.me()
        assert elsewhere.asked == []


def test_an_upload_address_elsewhere_is_refused(site, tmp_path):
    with FakeSite() as elsewhere, ApiConnection(site.url, api_key="cad_secret") as connection:
        (tmp_path / "a").write_bytes(b"x")
        with (tmp_path / "a").open("rb") as file, pytest.raises(ApiRefusal) as refused:
            connection.upload(f"{elsewhere.url}/api/v1/uploads/1", file, size=1, progress=print)
        assert refused.value.code == "api.foreign"
        assert elsewhere.asked == []


def test_the_stored_key_goes_to_the_site_it_was_stored_for(run, site, cleo):
    site.on("GET", "/api/v1/me", ME)
    assert run("me").code == 0
    assert site.asked[0].headers["authorization"] == "Bearer cad_cleo"


def test_the_stored_key_does_not_go_to_a_site_named_by_option(run, cleo):
    with FakeSite() as elsewhere:
        elsewhere.on("GET", "/api/v1/me", ME)
        assert run("--site", elsewhere.url, "me").code == 0
        assert "authorization" not in elsewhere.asked[0].headers


def test_a_key_from_the_environment_goes_to_the_site_that_is_named(run, site, monkeypatch):
    monkeypatch.setenv("CADASTRE_API_KEY", "cad_given")
    monkeypatch.setenv("CADASTRE_SITE", site.url)
    site.on("GET", "/api/v1/me", ME)
    assert run("me").code == 0
    assert site.asked[0].headers["authorization"] == "Bearer cad_given"


def test_a_proxy_of_the_environment_does_not_see_the_key(run, site, cleo, monkeypatch):
    with FakeSite() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        site.on("GET", "/api/v1/me", ME)
        assert run("me").code == 0
        assert proxy.asked == []
