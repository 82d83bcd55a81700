import json
from dataclasses import replace

import pyrage
import pytest

from cadastre.download import download
from cadastre.license_bundle import LicenseBundle
from marketplace.core.terms import Use
from marketplace.core.trade_audit import TRADE_CHECKS
from provenance.core.bundle import BundleKind
from provenance.core.policy import Outcome, Step, Verdict
from provenance.core.verify import verify_bundle
from tests.client.goods import BUYER, CONTENT_KEY, TERMS, Goods
from tests.client.test_downloads_are_checked import Shelf
from tests.provenance_core.statements import CLEO, MALLORY

TRADE = [name for name, _ in TRADE_CHECKS]


def verified(goods, kind=BundleKind.LICENSE, **auditor):
    bundle = goods.bundle(kind).to_bytes()
    recipient = str(CONTENT_KEY.to_public())
    brought = goods.auditor(**{"open_grant": lambda _sealed: recipient, **auditor})
    report = verify_bundle(bundle, goods.policy(), brought, additional=TRADE_CHECKS)
    return report, {result.step: result for result in report.results}


def test_the_rules_of_trade_pass_for_a_true_sale(goods):
    report, steps = verified(goods)
    assert report.verdict is Verdict.PASS
    assert [each.step for each in report.results][-4:] == TRADE
    assert {steps[name].outcome for name in TRADE} == {Outcome.PASS}


def test_a_trail_is_not_checked_for_a_sale(goods):
    report, steps = verified(goods, BundleKind.TRAIL)
    assert report.verdict is Verdict.PASS
    assert {steps[name].outcome for name in TRADE} == {Outcome.NOT_CHECKED}


@pytest.mark.parametrize(
    ("changes", "step", "words"),
    [
        ({"uses": TERMS.uses | {Use.REDISTRIBUTE}}, "terms-bought", "other uses than the terms"),
        ({"days": 366}, "terms-bought", "ends at another time than the terms"),
        ({"fee": 6_000_001}, "price-and-fee", "not the offer's share"),
        ({"signer": MALLORY}, "offer-signature", "No owner of the dataset signed"),
        ({"event": {"offer": "0x" + "00" * 32}}, "offer-on-chain", "sold under another offer"),
    ],
)
def test_a_sale_that_breaks_a_rule_of_trade_fails_by_name(changes, step, words):
    report, steps = verified(Goods(**changes))
    assert report.verdict is Verdict.FAIL
    assert [each.step for each in report.results if each.outcome is Outcome.FAIL] == [step]
    assert words in steps[step].detail


def test_an_offer_that_was_never_logged_is_not_checked():
    report, steps = verified(Goods(logged=False))
    assert report.verdict is Verdict.PASS
    assert steps["offer-signature"].outcome is Outcome.NOT_CHECKED


def test_an_offer_to_somebody_else_fails():
    report, steps = verified(Goods(offer={"licensee": MALLORY.account}))
    assert report.verdict is Verdict.FAIL
    assert steps[Step.LICENSE].outcome is Outcome.FAIL
    assert verified(Goods(offer={"licensee": CLEO.account}))[0].verdict is Verdict.PASS


@pytest.fixture
def bundle(goods, tmp_path):
    path = tmp_path / "bundle.json"
    path.write_bytes(goods.bundle().to_bytes())
    return path


@pytest.fixture
def on_chain(goods, monkeypatch):
    """The auditor's node agrees with the bundle."""
    monkeypatch.setattr("cadastre.commands.verifying._auditor_chain", lambda _pins, _rpc: goods.chain)


def test_a_true_bundle_exits_0_and_names_each_step(run, cleo, bundle, on_chain):
    said = run("verify", bundle, "--rpc", "http://127.0.0.1:1")
    assert said.code == 0
    for name in [*list(Step), *TRADE, "same-log"]:
        assert f". {name}: " in said.out
    assert said.out.rstrip().endswith("Everything that must hold, holds.")


def test_every_step_is_in_the_json(run, cleo, bundle, on_chain):
    found = run("--json", "verify", bundle, "--rpc", "http://127.0.0.1:1").json()
    assert found["verdict"] == "pass"
    assert [each["step"] for each in found["steps"]] == [*list(Step), *TRADE, "same-log"]
    opened = next(each for each in found["steps"] if each["step"] == Step.GRANT_OPENS)
    assert opened["result"] == "pass"


def test_without_a_node_the_steps_on_chain_are_not_checked(run, cleo, bundle):
    said = run("--json", "verify", bundle)
    assert said.code == 0
    results = {each["step"]: each["result"] for each in said.json()["steps"]}
    assert results[Step.FACTS] == results["offer-on-chain"] == "not checked"


def test_a_flipped_byte_exits_3(run, cleo, bundle):
    content = json.loads(bundle.read_bytes())
    content["checkpoint"] = content["checkpoint"].replace("log.example", "log.exbmple", 1)
    bundle.write_text(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    said = run("--json", "verify", bundle)
    assert (said.code, said.json()["verdict"]) == (3, "fail")


def test_a_broken_file_exits_3_and_names_the_first_step(run, cleo, bundle, tmp_path):
    bundle.write_bytes(bundle.read_bytes()[:-1])
    said = run("--json", "verify", bundle, "--files", tmp_path)
    assert said.code == 3
    assert [each["step"] for each in said.json()["steps"]] == [Step.BUNDLE]


def test_a_node_that_does_not_answer_exits_4(run, cleo, bundle):
    said = run("--json", "verify", bundle, "--rpc", "http://127.0.0.1:1")
    assert (said.code, said.json()["verdict"]) == (4, "incomplete")


def test_a_node_of_another_chain_is_refused_before_anything_is_judged(run, cleo, bundle, anvil):
    said = run("verify", bundle, "--rpc", anvil.url)
    assert said.code == 1
    assert "another chain" in said.err


def test_pins_come_from_a_file_when_nobody_logged_in(run, goods, bundle, tmp_path):
    assert run("verify", bundle).code == 1
    pins = tmp_path / "pins.json"
    pins.write_text(json.dumps(goods.pins()))
    assert run("verify", bundle, "--pins", pins).code == 0


@pytest.mark.parametrize("content", ["[]", "{}", "no json", '{"deployment": {}, "log": 1, "service_key": "zz"}'])
def test_pins_that_are_none_are_refused(run, bundle, tmp_path, content):
    pins = tmp_path / "pins.json"
    pins.write_text(content)
    said = run("verify", bundle, "--pins", pins)
    assert said.code == 1
    assert len(said.err.splitlines()) == 1


def test_other_pins_fail_a_true_bundle(run, goods, bundle, tmp_path):
    pins = {**goods.pins(), "service_key": "00" * 32}
    (tmp_path / "pins.json").write_text(json.dumps(pins))
    said = run("--json", "verify", bundle, "--pins", tmp_path / "pins.json")
    assert said.code == 3
    assert "keys" in {each["step"] for each in said.json()["steps"] if each["result"] == "fail"}


def test_downloaded_files_are_compared_too(run, cleo, goods, bundle, tmp_path):
    folder = tmp_path / "data"
    download(LicenseBundle.load(bundle), source=Shelf(goods), identity=str(BUYER), folder=folder)
    assert run("verify", bundle, "--files", folder).code == 0
    (folder / "readme.txt").write_text("Altered.")
    said = run("--json", "verify", bundle, "--files", folder)
    assert said.code == 3
    failed = [each for each in said.json()["steps"] if each["result"] == "fail"]
    assert failed[0]["step"] == Step.FILES
    assert "readme.txt was altered" in failed[0]["detail"]
    (folder / "readme.txt").unlink()
    assert "readme.txt is not at hand" in run("verify", bundle, "--files", folder).out


def test_sealed_files_without_their_list_fail_with_what_to_do(run, cleo, bundle, tmp_path):
    said = run("verify", bundle, "--files", tmp_path)
    assert said.code == 3
    assert "Download again" in said.out


def opens(said):
    return next(each for each in said.json()["steps"] if each["step"] == Step.GRANT_OPENS)


def test_a_grant_for_somebody_else_is_not_checked(run, cleo, bundle):
    replace(cleo, identity=str(pyrage.x25519.Identity.generate())).save()
    said = run("--json", "verify", bundle)
    assert said.code == 0
    assert opens(said)["result"] == "not checked"
    assert str(BUYER.to_public()) in opens(said)["detail"]


def test_a_grant_is_opened_with_the_recovery_file(run, cleo, bundle, tmp_path):
    replace(cleo, identity=str(pyrage.x25519.Identity.generate())).save()
    recovery = tmp_path / "recovery.txt"
    recovery.write_text(f"# Cadastre recovery file\n# public key: {BUYER.to_public()}\n{BUYER}\n")
    assert opens(run("--json", "verify", bundle, "--identity", recovery))["result"] == "pass"


def test_a_grant_that_holds_another_key_fails(run, cleo, bundle, tmp_path):
    class Wrong(Goods):
        def make_package(self):
            package = super().make_package()
            stranger = str(pyrage.x25519.Identity.generate().to_public())
            return type(package).from_document({**package.to_document(), "recipient": stranger})

    bundle.write_bytes(Wrong().bundle().to_bytes())
    said = run("--json", "verify", bundle)
    assert said.code == 3
    assert opens(said)["result"] == "fail"
