"""Trail and license bundles from the API are verified offline, and licensed blocks decrypt with them alone."""

import base64
import json

import pyrage
import pytest

from marketplace.api.names import id_of
from marketplace.models import LicenseRow, Order
from provenance import bootstrap
from provenance.core.bundle import Deployment as Contracts
from provenance.core.checkpoint import VerifierKey
from provenance.core.cid import Cid
from provenance.core.policy import OFFLINE, Outcome, Policy, Step, Verdict
from provenance.core.unixfs.reading import read_file, resolve, walk_files
from provenance.core.verify import verify_bundle
from provenance.models import ContentAct, GrantRow, Submission
from tests.api.conftest import PRICE, RECIPIENT, Api, table

pytestmark = pytest.mark.django_db


def policy(visitor: Api) -> Policy:
    """What a stranger pins, read once from the site."""
    pins = visitor.get("/deployment").json()
    return Policy(
        vkey=VerifierKey.parse(pins["log"]["vkey"]),
        service_key=bytes.fromhex(pins["service_key"]),
        deployment=Contracts.from_document(pins["deployment"]),
        required=OFFLINE - {Step.CONSISTENCY},
    )


def outcomes(report) -> dict[str, str]:
    return {str(result.step): str(result.outcome) for result in report.results}


def test_a_trail_bundle_is_verified_by_a_stranger(site, ada, dataset, visitor):
    site.sequence()
    answer = visitor.get(f"/datasets/{dataset}/trail", format="bundle")
    assert answer.headers["Content-Type"] == "application/vnd.cadastre.bundle+json"
    report = verify_bundle(answer.content, policy(visitor))
    assert report.verdict is Verdict.PASS, report.results
    steps = outcomes(report)
    assert steps["copy-check"] == steps["rights"] == steps["nothing-left-out"] == Outcome.PASS
    assert steps["facts-on-chain"] == Outcome.NOT_CHECKED


def test_one_flipped_byte_fails_and_names_the_step(site, dataset, visitor):
    site.sequence()
    data = json.loads(visitor.get(f"/datasets/{dataset}/trail", format="bundle").content)
    digest = next(iter(data["documents"]))
    data["documents"][digest] = data["documents"][digest][:-8] + "AAAAAAAA"
    from provenance.core.canonical import canonical_bytes

    report = verify_bundle(canonical_bytes(data), policy(visitor))
    assert report.verdict is Verdict.FAIL
    assert outcomes(report)["documents"] == Outcome.FAIL


def test_the_license_bundle_waits_says_for_what_and_then_stands_alone(site, ada, cleo, listing, visitor, var):
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    site.give(cleo, PRICE)
    api = cleo.api()
    api.post("/orders", {"offer": listing.offer_id, "recipient": recipient}, key="k")
    row = site.license(cleo, listing, order=Order.objects.get(), final=False)
    address = f"/licenses/{id_of(row.pk)}/bundle"

    def refusal() -> tuple[int, str]:
        answer = api.get(address)
        assert (answer.json()["code"], answer.headers["Retry-After"]) == ("bundle.waiting", "1")
        return answer.status_code, answer.json()["title"]

    assert refusal() == (409, "The purchase is not final on chain yet.")
    LicenseRow.objects.update(final=True)
    row.refresh_from_db()
    site.deliver(row, recipient)
    GrantRow.objects.update(state="wanted")
    assert refusal() == (409, "The key is being granted.")
    GrantRow.objects.update(state="granted")
    answer = api.get(address, headers={"Prefer": "wait=1"})
    assert answer.status_code == 200
    report = verify_bundle(answer.content, policy(visitor))
    assert report.verdict is Verdict.PASS, report.results
    assert outcomes(report)["key-grant"] == Outcome.PASS

    bundle = report.bundle
    sealed = base64.b64decode(bundle.document(bundle.grant)["sealed_key"])
    key = pyrage.x25519.Identity.from_str(pyrage.decrypt(sealed, [identity]).decode().strip())
    root = Cid.parse(Submission.objects.get(dataset=listing.dataset).package_root)

    def block(cid: Cid) -> bytes:
        got = api.get(f"/licenses/{id_of(row.pk)}/blocks/{cid}")
        assert (got.status_code, got.headers["Content-Type"]) == (200, "application/vnd.ipld.raw")
        assert got.headers["Cache-Control"].startswith("private")
        return got.content

    plain = [
        pyrage.decrypt(b"".join(read_file(cid, block)), [key])
        for name, cid in walk_files(root, block)
        if not name.startswith("manifest")
    ]
    assert plain == [table("ada0")]


def test_a_refused_key_says_why_at_once(site, cleo, listing):
    row = site.license(cleo, listing)
    site.deliver(row)
    GrantRow.objects.update(state="refused", cause="The license was refunded.")
    answer = cleo.api().get(f"/licenses/{id_of(row.pk)}/bundle")
    assert (answer.status_code, answer.json()["code"], answer.json()["actual"]) == (
        422, "bundle.key_refused", "The license was refunded.",
    )  # fmt: skip


def test_a_second_recipient_gets_a_bundle_of_its_own(site, cleo, listing):
    row = site.license(cleo, listing)
    site.deliver(row)
    api, other = cleo.api(), str(pyrage.x25519.Identity.generate().to_public())
    address = f"/licenses/{id_of(row.pk)}"
    unknown = api.get(f"{address}/bundle", recipient=other)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "bundle.no_recipient")
    asked = api.post(f"{address}/grants", {"recipient": other}, key="g")
    assert (asked.status_code, asked.json()["results"][0]["state"]) == (202, "wanted")
    assert api.post(f"{address}/grants", {"recipient": other}, key="g").json() == asked.json()
    assert api.get(f"{address}/bundle", recipient=other).json()["title"] == "The key is being granted."
    assert api.get(f"{address}/bundle", recipient=RECIPIENT).status_code == 200


def test_only_blocks_of_the_licensed_packages_are_served(site, ada, cleo, listing, visitor):
    other = site.publish(ada, title="Something else")
    row = site.license(cleo, listing)
    site.deliver(row)
    api, address = cleo.api(), f"/licenses/{id_of(row.pk)}/blocks"
    roots = {each.dataset: each.package_root for each in Submission.objects.all()}
    stranger = Cid.parse(roots[other.dataset])
    assert bootstrap.content_store().has(stranger)
    answer = api.get(f"{address}/{stranger}")
    assert (answer.status_code, answer.json()["code"]) == (404, "block.not_found")
    assert api.get(f"{address}/{Cid.of(b'nowhere')}").status_code == 404
    assert api.get(f"{address}/{roots[listing.dataset]}").status_code == 200
    assert visitor.get(f"/datasets/{id_of(listing.dataset)}/blocks/{roots[listing.dataset]}").status_code == 404


def test_open_blocks_need_no_key(site, ada, visitor):
    opened = site.publish(ada, visibility="open")
    root = Cid.parse(Submission.objects.get(dataset=opened.dataset).package_root)
    address = f"/datasets/{id_of(opened.dataset)}/blocks"

    def block(cid: Cid) -> bytes:
        got = visitor.get(f"{address}/{cid}")
        assert got.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        return got.content

    assert b"".join(read_file(resolve(root, "sunspots.csv", block), block)) == table("ada0")


def test_membership_is_walked_once_and_asked_without_walking(site, cleo, listing, monkeypatch):
    row = site.license(cleo, listing)
    site.deliver(row)
    root = Submission.objects.get(dataset=listing.dataset).package_root
    store = bootstrap.content_store()
    leaves = [cid for _, cid in walk_files(Cid.parse(root), store.get_block)]
    api = cleo.api()
    assert api.get(f"/licenses/{id_of(row.pk)}/blocks/{leaves[0]}").status_code == 200

    def walked_again(*args):
        raise AssertionError("the DAG was walked a second time")

    monkeypatch.setattr("provenance.package_blocks.dag_cids", walked_again)
    assert all(api.get(f"/licenses/{id_of(row.pk)}/blocks/{leaf}").status_code == 200 for leaf in leaves)


@pytest.mark.parametrize(("act", "status"), [("withheld", 451), ("erased", 410)])
def test_delivery_stops_when_content_is_withheld_or_erased(site, ada, cleo, listing, act, status):
    row = site.license(cleo, listing)
    site.deliver(row)
    ContentAct.objects.create(
        dataset=listing.dataset, act=act, reason="court-order", by=ada.actor.account.pk, created=site.now
    )
    root = Submission.objects.get(dataset=listing.dataset).package_root
    answer = cleo.api().get(f"/licenses/{id_of(row.pk)}/blocks/{root}")
    assert (answer.status_code, answer.json()["code"], answer.json()["actual"]) == (
        status,
        f"content.{act}",
        "court-order",
    )


def test_a_refunded_license_delivers_nothing_and_an_expired_one_still_does(site, cleo, listing):
    row = site.license(cleo, listing)
    site.deliver(row)
    root = Submission.objects.get(dataset=listing.dataset).package_root
    api = cleo.api()
    codes = {}
    for state in ("expired", "refunded", "revoked"):
        LicenseRow.objects.update(state=state)
        codes[state] = api.get(f"/licenses/{id_of(row.pk)}/blocks/{root}").status_code
    assert codes == {"expired": 200, "refunded": 409, "revoked": 409}


def test_a_broken_copy_is_never_sent(site, cleo, listing, var):
    row = site.license(cleo, listing)
    site.deliver(row)
    cid = Cid.parse(Submission.objects.get(dataset=listing.dataset).package_root)
    block = bootstrap.content_store().get_block(cid)
    files = [each for each in (var / "blocks").rglob("*") if each.is_file() and each.read_bytes() == block]
    for path in files:
        path.chmod(0o644)
        path.write_bytes(bytes(len(block)))
    answer = cleo.api().get(f"/licenses/{id_of(row.pk)}/blocks/{cid}")
    assert (len(files), answer.status_code, answer.json()["code"]) == (1, 503, "store.mismatch")
