import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.core.bundle import Bundle, BundleKind, BundleRefusal
from provenance.core.canonical import canonical_bytes, parse_canonical
from provenance.core.chain_checks import ChainFactRefusal, ChainUnavailable, check_place
from provenance.core.digest import Sha256
from provenance.core.manifest import Visibility
from provenance.core.policy import OFFLINE, ON_CHAIN, Outcome, Policy, PolicyRefusal, Step, StepResult, Verdict
from provenance.core.refusal import Refusal
from provenance.core.statement import StatementType
from provenance.core.verify import CHECKS, Auditor, verify_bundle
from tests.provenance_core.bundles import DEPLOYMENT, FakeChain, World
from tests.provenance_core.logs import Log, ed25519, public_bytes
from tests.provenance_core.statements import DATASET, MALLORY, MARKET, SERVICE, SERVICE_KEY, TOKEN, statement


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def data(world):
    return world.bundle().to_bytes()


def outcomes(report):
    return {result.step: result.outcome for result in report.results}


def failed(report):
    return [result.step for result in report.results if result.outcome is Outcome.FAIL]


def detail_of(report, step):
    return next(result.detail for result in report.results if result.step == step)


def test_a_true_license_bundle_passes_every_step(world, data):
    report = verify_bundle(data, world.policy(), world.auditor())
    assert report.verdict is Verdict.PASS
    assert set(outcomes(report).values()) == {Outcome.PASS}
    assert [result.step for result in report.results] == list(Step)
    assert [result.number for result in report.results] == list(range(1, len(Step) + 1))
    assert "no legal or monetary value" in detail_of(report, Step.LICENSE)


def test_a_true_trail_passes_without_the_steps_of_a_license(world):
    trail = world.bundle(BundleKind.TRAIL).to_bytes()
    report = verify_bundle(trail, world.policy(), world.auditor())
    assert report.verdict is Verdict.PASS
    assert Step.LICENSE not in outcomes(report)
    assert Bundle.parse(trail) == world.bundle(BundleKind.TRAIL)


def test_an_open_dataset_passes_with_its_files_in_sight():
    world = World(Visibility.OPEN)
    bundle = world.bundle(grant=None)
    report = verify_bundle(bundle.to_bytes(), world.policy(), world.auditor())
    assert report.verdict is Verdict.PASS
    assert outcomes(report)[Step.GRANT] is Outcome.NOT_CHECKED


def test_offline_the_chain_is_reported_as_not_checked(world, data):
    report = verify_bundle(data, world.policy(OFFLINE))
    assert report.verdict is Verdict.PASS
    for step in (Step.ANCHORS, Step.FACTS, Step.LICENSE_ON_CHAIN, Step.GRANT_OPENS, Step.FILES):
        assert outcomes(report)[step] is Outcome.NOT_CHECKED
    assert verify_bundle(data, world.policy(ON_CHAIN)).verdict is Verdict.INCOMPLETE


def test_a_node_that_does_not_answer_is_neither_pass_nor_fail(world, data):
    class Down:
        chain_id = DEPLOYMENT.chain

        def finalized(self):
            raise ChainUnavailable("chain.down", "The node did not answer.")

        events = license = lambda self, _: self.finalized()

    report = verify_bundle(data, world.policy(), world.auditor(chain=Down()))
    assert report.verdict is Verdict.INCOMPLETE
    assert outcomes(report)[Step.FACTS] is Outcome.NOT_CHECKED


def positions(document, base=()):
    """Every leaf of a JSON document, as the keys that lead to it."""
    if isinstance(document, dict):
        for key, member in document.items():
            yield from positions(member, (*base, key))
    elif isinstance(document, list):
        for index, member in enumerate(document):
            yield from positions(member, (*base, index))
    else:
        yield base


def changed(value):
    """The same kind of value, different in its last place."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + 1
    for at in reversed(range(len(value))):
        if value[at].isalnum():
            other = "b" if value[at] == "a" else "a" if value[at].isalpha() else str((int(value[at]) + 1) % 10)
            return value[:at] + other + value[at + 1 :]
    return value + "x"


def test_every_single_value_of_a_bundle_matters(world, data):
    """Whatever leaf of the file is altered, a step fails and names itself."""
    document = parse_canonical(data, limit=len(data))
    survived = []
    for keys in positions(document):
        altered = json.loads(data)
        place = altered
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = changed(place[keys[-1]])
        report = verify_bundle(canonical_bytes(altered), world.policy(), world.auditor())
        if report.verdict is not Verdict.FAIL or not failed(report):
            survived.append(keys)
    assert survived == []


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_flipped_byte_anywhere_fails_and_names_the_step(world, data, draw):
    raw = bytearray(data)
    at = draw.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= draw.draw(st.integers(1, 255))
    report = verify_bundle(bytes(raw), world.policy(), world.auditor())
    assert report.verdict is Verdict.FAIL
    assert failed(report)[0] in set(Step)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_bundle_cut_short_fails_at_its_first_step(world, data, draw):
    cut = draw.draw(st.integers(0, len(data) - 1))
    report = verify_bundle(data[:cut], world.policy(), world.auditor())
    assert failed(report) == [Step.BUNDLE]
    assert report.bundle is None


def test_a_bundle_may_not_bring_its_own_trust(world, data):
    """Mallory's own log, service and contracts verify nothing for an auditor who pinned Cadastre's."""
    mallory = Log(seed=66)
    other = replace(DEPLOYMENT, market=MALLORY.address)
    for policy in (
        world.policy(vkey=mallory.vkey),
        world.policy(service_key=public_bytes(ed25519(66))),
        world.policy(deployment=other),
    ):
        report = verify_bundle(data, policy, world.auditor())
        assert report.verdict is Verdict.FAIL
        assert failed(report)[0] == Step.KEYS


def test_a_policy_that_requires_nothing_is_refused(world):
    with pytest.raises(PolicyRefusal, match="accept anything"):
        world.policy(frozenset())


def test_a_verdict_needs_every_required_step(world):
    policy = world.policy(frozenset({Step.BUNDLE, Step.KEYS}))
    bundle, keys = (StepResult(1, step, Outcome.PASS, "") for step in (Step.BUNDLE, Step.KEYS))
    assert policy.judge([bundle, keys], BundleKind.LICENSE) is Verdict.PASS
    assert policy.judge([bundle], BundleKind.LICENSE) is Verdict.INCOMPLETE
    assert policy.judge([], BundleKind.LICENSE) is Verdict.FAIL
    failing = StepResult(3, Step.FILES, Outcome.FAIL, "")
    assert policy.judge([bundle, keys, failing], BundleKind.LICENSE) is Verdict.FAIL
    licensed = world.policy(frozenset({Step.LICENSE}))
    assert licensed.judge([bundle, keys], BundleKind.TRAIL) is Verdict.INCOMPLETE


def test_a_statement_of_an_unknown_type_is_proved_and_its_meaning_is_not_checked():
    world = World()
    fact = f"witness.added:{DATASET}:1"
    document = {
        "schema": "cadastre.statement/1", "type": "witness.added", "subject": DATASET, "fact": fact,
        "time": "2027-03-01T12:00:00Z", "chain": None, "body": {"anything": 1},
    }  # fmt: skip
    signature = SERVICE.sign(b"cadastre-statement/1\n" + canonical_bytes(document))
    import base64

    signed = {
        "role": "service", "alg": "ed25519", "key": SERVICE_KEY.hex(),
        "signature": base64.b64encode(signature).decode(),
    }  # fmt: skip
    whole = {
        "schema": "cadastre.entry/1", "statement": document, "signatures": [signed],
        "previous": world.latest[DATASET],
    }  # fmt: skip
    world.log.append(canonical_bytes(whole))
    report = verify_bundle(world.bundle().to_bytes(), world.policy(), world.auditor())
    assert report.verdict is Verdict.PASS
    assert outcomes(report)[Step.INCLUSION] is Outcome.PASS
    assert outcomes(report)[Step.STATEMENTS] is Outcome.NOT_CHECKED
    assert "witness.added" in detail_of(report, Step.STATEMENTS)


@pytest.mark.parametrize(
    ("kind", "word"), [(StatementType.CONTENT_WITHHELD, "withheld"), (StatementType.CONTENT_ERASED, "erased")]
)
def test_withheld_content_is_named_by_its_entry_and_does_not_fail(kind, word):
    world = World()
    index = world.add(kind, subject=DATASET)
    report = verify_bundle(world.bundle().to_bytes(), world.policy(), world.auditor())
    assert report.verdict is Verdict.PASS
    assert outcomes(report)[Step.AVAILABILITY] is Outcome.WITHHELD
    assert detail_of(report, Step.AVAILABILITY) == f"{word} by entry {index}: court-order"


def test_a_retracted_fact_is_no_longer_claimed():
    world = World()
    place = world.chain.emit("OfferCancelled", {"dataset": "12", "nonce": "7"}, contract=DEPLOYMENT.market, block=50)
    index = world.add(StatementType.OFFER_WITHDRAWN, subject=DATASET, chain=place, body={"nonce": "7"})
    world.chain.by_tx[place.tx] = []
    broken = verify_bundle(world.bundle().to_bytes(), world.policy(), world.auditor())
    assert failed(broken) == [Step.FACTS]
    world.add(StatementType.FACT_RETRACTED, subject=DATASET, body={"entry": index})
    assert verify_bundle(world.bundle().to_bytes(), world.policy(), world.auditor()).verdict is Verdict.PASS


def chain_with(world, **changes):
    return replace(world.chain, **changes)


def only_failure(report):
    assert report.verdict is Verdict.FAIL
    return failed(report)


def test_another_chain_or_one_that_has_not_come_so_far_is_refused(world, data):
    other = verify_bundle(data, world.policy(), world.auditor(chain=chain_with(world, chain_id=1)))
    assert only_failure(other) == [Step.ANCHORS, Step.FACTS, Step.LICENSE_ON_CHAIN]
    early = verify_bundle(data, world.policy(), world.auditor(chain=chain_with(world, head=35)))
    assert only_failure(early) == [Step.ANCHORS]
    earlier = verify_bundle(data, world.policy(), world.auditor(chain=chain_with(world, head=25)))
    assert only_failure(earlier) == [Step.ANCHORS, Step.FACTS]


def test_a_license_that_ended_or_is_somebody_elses_is_refused(world, data):
    active = world.chain.licenses[5]
    for state in (
        replace(active, active=False),
        replace(active, licensee=MALLORY.address),
        replace(active, dataset=13),
        replace(active, end=0),
        None,
    ):
        chain = chain_with(world, licenses={5: state})
        assert only_failure(verify_bundle(data, world.policy(), world.auditor(chain=chain))) == [Step.LICENSE_ON_CHAIN]


def test_an_event_that_says_something_else_is_refused(world, data):
    for tx, (event,) in world.chain.by_tx.items():
        for name in event.args:
            if name in {"packageKind", "feeBps", "licensee"}:
                continue  # told by other events and documents, or by the license itself
            lying = replace(event, args={**event.args, name: "0x00"})
            chain = chain_with(world, by_tx={**world.chain.by_tx, tx: [lying]})
            report = verify_bundle(data, world.policy(), world.auditor(chain=chain))
            assert only_failure(report) in ([Step.FACTS], [Step.ANCHORS]), name


def test_a_payout_by_push_is_one_of_the_payees_that_the_event_names():
    def told(*leaves):
        chain = FakeChain()
        packed = "0x" + "".join(f"{payee:08x}{cumulative:016x}" for payee, cumulative in leaves)
        args = {"token": TOKEN.rpartition(":")[2], "epoch": "7", "total": "1", "leaves": packed}
        made = statement(StatementType.PAYOUT_MADE, chain=chain.emit("Pushed", args, contract=MARKET, block=50))
        check_place(made, DEPLOYMENT, chain)

    most = 2**64 - 1
    told((2, 5), (3, most), (4, 5))
    for leaves in (((2, 5), (4, 5)), ((3, most - 1),), ((2, most),), ()):
        with pytest.raises(ChainFactRefusal) as refused:
            told(*leaves)
        assert refused.value.code == "chain.content"


def test_an_anchor_by_somebody_else_is_not_the_operators(world, data):
    policy = world.policy(anchor_sender=MALLORY.address)
    assert only_failure(verify_bundle(data, policy, world.auditor())) == [Step.ANCHORS]
    assert verify_bundle(data, replace(policy, anchor_sender=None), world.auditor()).verdict is Verdict.PASS


def test_a_grant_that_does_not_open_the_package_is_refused(world, data):
    wrong = verify_bundle(data, world.policy(), world.auditor(open_grant=lambda _: "age1" + "z" * 58))
    assert only_failure(wrong) == [Step.GRANT_OPENS]

    def broken(_sealed):
        raise Refusal("age.identity", "No identity fits.")

    assert only_failure(verify_bundle(data, world.policy(), world.auditor(open_grant=broken))) == [Step.GRANT_OPENS]


def test_files_that_differ_are_refused(world, data):
    def differing(_manifest, _package):
        raise Refusal("file.differs", "A file is another one.")

    assert only_failure(verify_bundle(data, world.policy(), world.auditor(check_files=differing))) == [Step.FILES]


def test_additional_steps_of_trade_can_only_fail_the_verdict(world, data):
    def offer_is_signed(_case):
        raise Refusal("offer.unsigned", "The owner did not sign the offer.")

    def holds(_case):
        return "Signed."

    extra = [("offer-signature", holds)]
    assert verify_bundle(data, world.policy(), world.auditor(), additional=extra).verdict is Verdict.PASS
    extra = [("offer-signature", offer_is_signed)]
    report = verify_bundle(data, world.policy(), world.auditor(), additional=extra)
    assert only_failure(report) == ["offer-signature"]
    assert report.to_document()[-1]["result"] == "fail"


def without(world, *hidden, **changes):
    bundle = world.bundle(**changes)
    return replace(bundle, entries=tuple(each for each in bundle.entries if each.index not in hidden)).to_bytes()


def test_a_trail_with_an_entry_left_out_fails(world):
    for index in range(2, 6):
        data = without(world, index, kind=BundleKind.TRAIL)
        report = verify_bundle(data, world.policy(), world.auditor())
        assert report.verdict is Verdict.FAIL
        assert {Step.LINKS, Step.COMPLETENESS} & set(failed(report))


def test_rights_that_nobody_attested_fail_and_a_missing_copy_check_is_not_checked(world):
    assert Step.RIGHTS in failed(verify_bundle(without(world, 0), world.policy(), world.auditor()))
    report = verify_bundle(without(world, 1), world.policy(), world.auditor())
    assert outcomes(report)[Step.COPY_CHECK] is Outcome.NOT_CHECKED


def test_a_document_that_is_missing_is_named(world):
    bundle = world.bundle()
    for digest in bundle.documents:
        rest = {each: raw for each, raw in bundle.documents.items() if each != digest}
        report = verify_bundle(replace(bundle, documents=rest).to_bytes(), world.policy(), world.auditor())
        assert report.verdict is Verdict.FAIL


def test_terms_that_changed_after_the_purchase_fail(world):
    """The certificate of another world, with other terms, beside the entries of this one."""
    bundle = world.bundle()
    certificate = parse_canonical(bundle.documents[bundle.certificate])
    other = canonical_bytes({"schema": "cadastre.terms/1", "title": "Train a model", "text": "You may not."})
    certificate["terms"] = Sha256.of(other).hex
    raw = canonical_bytes(certificate)
    documents = {**bundle.documents, Sha256.of(other): other, Sha256.of(raw): raw}
    forged = replace(bundle, documents=documents, certificate=Sha256.of(raw))
    assert only_failure(verify_bundle(forged.to_bytes(), world.policy(), world.auditor())) == [Step.LICENSE]


def test_a_forked_log_is_refused_by_its_anchors(world):
    """The operator signs a second history of the same length; the anchors stand in the way."""
    fork = World()
    fork.add(StatementType.LISTING_CHANGED, subject=DATASET)
    mixed = replace(fork.bundle(), consistency=world.bundle().consistency)
    assert Step.CONSISTENCY in failed(verify_bundle(mixed.to_bytes(), fork.policy(), fork.auditor()))
    rewritten = World()
    rewritten.anchors[0] = replace(rewritten.anchors[0], root=b"\x01" * 32)
    report = verify_bundle(rewritten.bundle().to_bytes(), rewritten.policy(), rewritten.auditor())
    assert Step.CONSISTENCY in failed(report)


def test_a_bundle_that_contradicts_its_kind_is_refused(world):
    with pytest.raises(BundleRefusal):
        replace(world.bundle(), certificate=None)
    with pytest.raises(BundleRefusal):
        replace(world.bundle(), entries=world.bundle().entries[::-1])


def test_every_step_has_one_check_and_an_auditor_may_bring_nothing(world, data):
    assert [Step.BUNDLE, *(step for step, _ in CHECKS)] == list(Step)
    assert verify_bundle(data, world.policy(OFFLINE), Auditor()).verdict is Verdict.PASS
    assert isinstance(world.policy(), Policy)
