"""Settings come from the environment, refuse nonsense, and stand in the operators' table."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace import environment
from marketplace.redaction import RedactingFormatter, redact

ROOT = Path(__file__).resolve().parents[2]
LIVE = {
    "CADASTRE_NETWORK": "live",
    "CADASTRE_PUBLIC_URL": "https://c.example",
    "CADASTRE_EMAIL_URL": "smtp+tls://user:secret@mail.example:587",
}


def start(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of their own, or run it with `words`."""
    code = "import marketplace.settings as s; print(s.SECRET_KEY, s.DATABASES['default']['ENGINE'])"
    environ = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        [sys.executable, *(words or ("-c", code))], env=environ, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CADASTRE_NETWORK": "mainnet"}, "must be one of test, live"),
        ({"CADASTRE_FEE_BPS": "501"}, "must lie between 0 and 500"),
        ({"CADASTRE_FEE_BPS": "2.5"}, "write a whole number"),
        ({"CADASTRE_DEBUG": "maybe"}, "write true or false"),
        ({"CADASTRE_VAR": "var"}, "write an absolute path"),
        ({"CADASTRE_RPC_URL": "127.0.0.1:8545"}, "write a URL"),
        ({"CADASTRE_SECRET_KEY": "short"}, "at least 32"),
        ({"CADASTRE_HOSTS": " , "}, "name at least one"),
        ({"CADASTRE_LOG_ORIGIN": "my log"}, "without spaces"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "sqlite:/// or postgresql://"),
        ({"CELERY_BROKER_URL": "carrier-pigeon://"}, "must be filesystem://"),
        ({"CADASTRE_NETWORK": "live"}, "needs https"),
        (LIVE | {"CADASTRE_EMAIL_URL": ""}, "CADASTRE_EMAIL_URL is not set"),
        ({"CADASTRE_PUBLIC_URL": "https://c.example/market"}, "write https://c.example and nothing after it"),
        ({"CADASTRE_PUBLIC_URL": "http://c.example:web"}, "CADASTRE_PUBLIC_URL is no URL"),
        ({"CADASTRE_HOSTS": "https://c.example"}, "without https:// and port"),
        ({"CADASTRE_HOSTS": "c.example:8000"}, "without https:// and port"),
        ({"CADASTRE_OPERATORS": "olga"}, "write e-mail addresses"),
        ({"CADASTRE_EMAIL_URL": "mail.example"}, "must start with one of"),
        ({"CADASTRE_EMAIL_URL": "smtp+tls://user:hunter2@mail.example:tls"}, "CADASTRE_EMAIL_URL is no URL"),
        ({"CADASTRE_KUBO_API": "127.0.0.1"}, "or a URL"),
        ({"CADASTRE_CLAMD": "clamd.example"}, "write host:port"),
        ({"DATABASE_URL": "postgresql://db.example"}, "names no database"),
        ({"DATABASE_URL": "postgresql://user:hunter2@db.example:sql/c"}, "DATABASE_URL is no URL"),
        ({"DATABASE_URL": "sqlite:///cadastre.sqlite3"}, "an absolute path"),
        (
            {"CADASTRE_COPIES_FILE": "/nowhere/copies"},
            "CADASTRE_COPIES_FILE is '/nowhere/copies', which cannot be read",
        ),
        (
            LIVE | {"CADASTRE_DEBUG": "1"},
            "not on a live network",
        ),
    ],
)
def test_nonsense_stops_the_start_and_says_what_it_should_be(tmp_path, variables, words):
    done = start(**{"CADASTRE_VAR": str(tmp_path), **variables})
    assert done.returncode != 0
    assert words in done.stderr.splitlines()[-1]
    assert "hunter2" not in done.stderr


def test_sense_starts_and_the_secret_key_is_made_once(tmp_path):
    first = start(CADASTRE_VAR=str(tmp_path))
    again = start(CADASTRE_VAR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_secrets_may_come_from_files(tmp_path):
    secret = tmp_path / "key"
    secret.write_text("k" * 40 + "\n")
    done = start(CADASTRE_VAR=str(tmp_path), CADASTRE_SECRET_KEY_FILE=str(secret))
    assert done.stdout.split()[0] == "k" * 40


def test_a_live_network_passes_every_check_of_a_deployment(tmp_path):
    done = start("manage.py", "check", "--deploy", "--fail-level", "WARNING", CADASTRE_VAR=str(tmp_path), **LIVE)
    assert done.returncode == 0, done.stderr
    on_test = start("manage.py", "check", "--deploy", "--fail-level", "WARNING", CADASTRE_VAR=str(tmp_path))
    assert "SESSION_COOKIE_SECURE" in on_test.stderr


def test_a_live_log_is_named_after_its_host_and_alarms_have_readers(tmp_path):
    code = "import marketplace.settings as s; print(s.CADASTRE_LOG_ORIGIN, s.ADMINS)"
    people = "olga@c.example, ivan@c.example"
    live = start("-c", code, CADASTRE_VAR=str(tmp_path), CADASTRE_OPERATORS=people, **LIVE)
    assert live.stdout.strip() == "c.example/log [('', 'olga@c.example'), ('', 'ivan@c.example')]"
    assert start("-c", code, CADASTRE_VAR=str(tmp_path)).stdout.strip() == "cadastre.localhost/log []"


def test_postgresql_is_one_variable_away(tmp_path):
    done = start(CADASTRE_VAR=str(tmp_path), DATABASE_URL="postgresql://u:p@localhost/c")
    assert "django.db.backends.postgresql" in done.stdout


def test_an_empty_list_is_not_a_list(monkeypatch):
    monkeypatch.setenv("CADASTRE_HOSTS", "a.example, b.example")
    assert environment.listed("CADASTRE_HOSTS", ["x"]) == ["a.example", "b.example"]


def test_the_operators_table_and_the_code_name_the_same_settings():
    source = (ROOT / "marketplace" / "settings.py").read_text()
    read = set(re.findall(r'environment\.\w+\(\s*"([A-Z_]+)"', source))
    table = (ROOT / "docs" / "operators.md").read_text()
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE))
    assert read == named
    assert "CADASTRE_NETWORK" in named


@pytest.mark.parametrize(
    "line",
    [
        "grant AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
        "Authorization: Bearer cad_abcdefghijklmnopqrstuvwxyz",
        "connecting to postgresql://user:hunter2@db/x",
        "login password=hunter2 failed",
    ],
)
def test_secrets_never_reach_a_log_line(line):
    logged = RedactingFormatter("%(message)s").format(logging.makeLogRecord({"msg": "%s", "args": (line,)}))
    assert "[redacted]" in logged
    for secret in ("QQPZRY9", "abcdefghij", "hunter2"):
        assert secret not in logged


def test_ordinary_lines_stay_as_they_are():
    assert (
        redact("dataset 31337-5fbd-12 at http://127.0.0.1:8000/d/1")
        == "dataset 31337-5fbd-12 at http://127.0.0.1:8000/d/1"
    )
