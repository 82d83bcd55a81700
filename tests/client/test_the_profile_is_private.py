import io
import json
import os
from dataclasses import replace

import pytest

from cadastre.profile import Profile, ProfileRefusal
from tests.client.site import problem

ME = {"account": {"slug": "cleo", "display_name": "Cleo"}, "scopes": ["read"], "balance": {}}


@pytest.fixture
def open_site(site, goods):
    site.on("GET", "/api/v1/me", ME)
    site.on("GET", "/api/v1/deployment", goods.pins())
    return site


def log_in(run, site, tmp_path, *words):
    (tmp_path / "key").write_text("cad_cleo\n")
    return run("--site", site.url, "login", "--key-file", tmp_path / "key", *words)


def stored(home):
    return json.loads((home / "profile.json").read_text())


def test_login_stores_key_pins_and_an_identity_for_the_owners_eyes_only(run, open_site, home, goods, tmp_path):
    before = os.umask(0)
    try:
        said = log_in(run, open_site, tmp_path)
    finally:
        os.umask(before)
    assert said.code == 0
    assert (home / "profile.json").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    found = stored(home)
    assert (found["site"], found["api_key"], found["pins"]) == (open_site.url, "cad_cleo", goods.pins())
    assert found["identity"].startswith("AGE-SECRET-KEY-1")
    assert found["identity"] not in said.out + said.err
    assert Profile.load().recipient in said.out


def test_a_profile_that_others_could_read_is_replaced_by_one_they_cannot(home):
    home.mkdir()
    for name in ("profile.json", "profile.json.partial"):
        (home / name).write_text("{}")
        (home / name).chmod(0o644)
    Profile(home=home).save()
    assert (home / "profile.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.iterdir()] == ["profile.json"]


def test_a_key_is_read_from_standard_input(run, open_site, home, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("cad_piped\n"))
    assert run("--site", open_site.url, "login", "--key-file", "-").code == 0
    assert stored(home)["api_key"] == "cad_piped"


def test_a_key_is_asked_for_without_being_shown(run, open_site, home, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "cad_typed")
    said = run("--site", open_site.url, "login")
    assert stored(home)["api_key"] == "cad_typed"
    assert "cad_typed" not in said.out + said.err


def test_a_wrong_key_is_not_stored(run, open_site, home, tmp_path):
    open_site.on("GET", "/api/v1/me", problem(401, "access.key", "There is no such key."))
    assert log_in(run, open_site, tmp_path).code == 1
    assert not home.exists()


def test_a_second_login_keeps_the_identity(run, open_site, home, tmp_path):
    log_in(run, open_site, tmp_path)
    first = stored(home)["identity"]
    log_in(run, open_site, tmp_path)
    assert stored(home)["identity"] == first


def test_changed_keys_of_a_known_site_are_refused_until_they_are_accepted(run, open_site, home, goods, tmp_path):
    log_in(run, open_site, tmp_path)
    open_site.on("GET", "/api/v1/deployment", {**goods.pins(), "service_key": "00" * 32})
    said = log_in(run, open_site, tmp_path)
    assert said.code == 1
    assert "service_key" in said.err
    assert stored(home)["pins"] == goods.pins()
    assert log_in(run, open_site, tmp_path, "--new-pins").code == 0
    assert stored(home)["pins"]["service_key"] == "00" * 32


def test_a_key_of_the_environment_is_never_stored(home, monkeypatch):
    monkeypatch.setenv("CADASTRE_API_KEY", "cad_given")
    profile = Profile.load().with_identity()
    assert profile.key_for("http://anywhere") == "cad_given"
    assert "cad_given" not in (home / "profile.json").read_text()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"site": 1', '{"site": "x", "api_key": null, "identity": null, "pins": 3}']
)
def test_a_file_that_is_no_profile_is_refused_and_left_alone(home, content):
    home.mkdir()
    (home / "profile.json").write_text(content)
    with pytest.raises(ProfileRefusal):
        Profile.load()
    assert (home / "profile.json").read_text() == content


def test_without_an_identity_there_is_no_recipient(home):
    with pytest.raises(ProfileRefusal) as refused:
        _ = Profile(home=home).recipient
    assert refused.value.todo == "Run: cadastre login"


def test_a_broken_identity_is_refused_without_being_repeated(home):
    with pytest.raises(Exception, match="not an age secret key") as refused:
        _ = replace(Profile(home=home), identity="AGE-SECRET-KEY-1BROKEN").recipient
    assert "BROKEN" not in str(refused.value)
