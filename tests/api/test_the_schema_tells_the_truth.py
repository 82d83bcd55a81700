"""Schemathesis speaks to every address as the schema says, and as it says not; nothing may answer otherwise.

The schema is OpenAPI 3.1, made from the types that bodies are read and answers written by. All checks of schemathesis
run: no server error, only documented statuses, content types, headers and bodies, valid requests accepted, invalid ones
refused, keys not ignored, unknown methods refused. Coverage and fuzzing of every operation, bounded in number and not
in time: a quick machine tries what a slow one tries.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from marketplace.api.guide import EXAMPLES, OPERATIONS, PARAMETERS
from marketplace.api.money import Money
from marketplace.api.names import id_of
from marketplace.api.problems import Problem
from marketplace.api.schema import Raw, schema_bytes
from marketplace.api.urls import urlpatterns
from marketplace.models import Order
from provenance.models import Submission
from tests.api.conftest import PRICE, RECIPIENT, TABLE, table

PHASES = ("coverage", "fuzzing")
PATIENCE_SECONDS = 1_800
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")

CONFIG = """
seed = 20261120
suppress-health-check = ["all"]
hooks = "{hooks}"

[generation]
max-examples = 6
database = "none"
# PostgreSQL keeps no U+0000: texts with it are refused by name (request.nul).
allow-x00 = false

[checks.positive_data_acceptance]
# What fits the schema may still be refused for what it asks; each of these is documented where it can happen.
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "413", "422", "423", "429", "451", "460", "503", "507"]

[checks.missing_required_header]
# tus itself asks for 412 where Tus-Resumable is missing.
# Without X-HTTP-Method-Override a POST to an upload is a POST, which there is none of.
expected-statuses = ["400", "401", "403", "405", "406", "412", "415", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "429", "503"]

[checks.not_a_server_error]
# What passes by itself is said with 503 and a time, a full disk with 507: neither is a fault.
expected-statuses = ["2xx", "3xx", "4xx", "503", "507"]

"""


@pytest.fixture
def known(site, ada, cleo) -> dict[str, list[str]]:
    """One of everything, so that addresses lead somewhere."""
    opened = site.publish(ada, visibility="open", title="Open")
    listing = site.publish(ada)
    site.give(ada, 50 * PRICE)
    listing.refresh_from_db()
    order = ada.api().post("/orders", {"offer": listing.offer_id, "recipient": RECIPIENT}, key="k").json()["id"]
    license_row = site.license(ada, listing, order=Order.objects.get())
    site.deliver(license_row)
    site.publish(cleo, files={"theirs.csv": TABLE})
    copied = site.draft(ada, {"copy.csv": TABLE})
    drafts = [
        site.draft(ada, {"one.csv": table("one")}, checked=False),
        site.draft(ada, {"two.csv": table("two")}),
        copied,
    ]
    submission = Submission.objects.get(dataset=listing.dataset)
    unfinished = ada.api().send(
        "POST", f"/drafts/{drafts[0].pk}/files", "",
        headers={"Tus-Resumable": "1.0.0", "Upload-Length": "50", "Upload-Metadata": "path YQ=="},
    ).json()  # fmt: skip
    return {
        "path.dataset": [id_of(listing.dataset), id_of(opened.dataset)],
        "path.license_id": [id_of(license_row.pk)],
        "path.draft": [str(draft.pk) for draft in drafts],
        "path.file": [unfinished["id"]],
        "path.order": [order],
        "path.match": [match.pk for match in Submission.objects.get(pk=copied.submission).matches.all()],
        "path.version": [1],
        "path.index": [0, 1],
        "path.sha256": [submission.manifest],
        "path.cid": [submission.package_root],
    }


@pytest.fixture
def config(known, ada, settings, tmp_path) -> Path:
    settings.CADASTRE_API_RATES = dict.fromkeys(("general", "blocks", "uploads", "look-ups"), 10**9)
    settings.CADASTRE_RELAY_ACCOUNT_DAILY = 10**6
    lines = [CONFIG.format(hooks=HOOKS), "[headers]", f'Authorization = "Bearer {ada.key()}"', ""]
    for name, values in known.items():
        lines += [f"[dictionaries.{name.replace('.', '-')}]", f"values = {json.dumps(values)}", ""]
    lines += ["[parameters]"]
    lines += [f'"{name}" = {{ dictionary = "{name.replace(".", "-")}", probability = 0.7 }}' for name in known]
    path = tmp_path / "schemathesis.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.django_db(transaction=True)
def test_no_request_gets_an_answer_that_the_schema_does_not_name(live_server, config, phase):
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", "--checks", "all",
        "--phases", phase, f"{live_server.url}/api/v1/schema",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS, cwd=config.parent,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]


def test_the_schema_is_openapi_3_1_and_names_every_address(visitor, db):
    answer = visitor.get("/schema")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert answer.content == schema_bytes()
    assert {"apiKey", "session"} == document["components"]["securitySchemes"].keys()
    operations = [
        (method, path, said) for path, methods in document["paths"].items() for method, said in methods.items()
    ]
    assert len({said["operationId"] for _, _, said in operations}) == len(operations) > 55
    for method, path, said in operations:
        assert said["summary"], (method, path)
        assert {"400", "401", "429", "500"} <= said["responses"].keys()
        for status, response in said["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


def test_every_reference_of_the_schema_leads_somewhere():
    text = schema_bytes().decode()
    document = json.loads(text)
    named = set(document["components"]["schemas"])
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= named
    assert named - used == set()


def bodies() -> dict[str, type]:
    """The types that JSON bodies are read by, by name."""
    found: dict[str, type] = {}
    for pattern in urlpatterns:
        view = getattr(pattern.callback, "cls", None)
        for method in ("get", "post", "patch", "delete", "head"):
            said = getattr(getattr(view, method, None), "operation", None)
            found |= {kind.__name__: kind for kind in (said.body if said else ()) if not isinstance(kind, Raw)}
    return found


def test_every_body_has_an_example_that_is_read_as_it():
    read = {**bodies(), "Money": Money, "Problem": Problem}
    assert read.keys() == EXAMPLES.keys()
    for name, example in EXAMPLES.items():
        msgspec.convert(example, read[name], strict=True)
    schemas = json.loads(schema_bytes())["components"]["schemas"]
    assert all(schemas[name]["examples"] == [example] for name, example in EXAMPLES.items())


def test_every_parameter_and_every_write_is_described():
    document = json.loads(schema_bytes())
    assert "GET /datasets" in document["info"]["description"]
    names = {said["operationId"] for methods in document["paths"].values() for said in methods.values()}
    assert OPERATIONS.keys() <= names
    used = set()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            used |= {parameter["name"] for parameter in said.get("parameters", ())}
            assert all(parameter["description"] for parameter in said.get("parameters", ())), (method, path)
            assert method == "get" or said["description"], (method, path)
    assert PARAMETERS.keys() <= used
