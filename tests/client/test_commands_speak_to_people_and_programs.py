import argparse
import hashlib
import io
import json

import pytest

from cadastre import cli
from cadastre.cli import build_parser, main
from cadastre.console import Console, size_in_words
from provenance.core.refusal import Refusal
from tests.client.site import Answer, FakeSite, problem
from tests.client.test_data_is_got_with_one_command import DATASET_ID, LICENSE_ID, serve
from tests.client.test_publishing_takes_one_command import Publication

MONEY = {"amount": "240000000", "token": "eip155:31337/erc20:0x" + "c3" * 20, "text": "240.00 TUSD"}
ORDER_ID = "5b0e6b51-3a52-4a7e-9d0e-3d1f3a2b4c5d"
ORDER = {"id": ORDER_ID, "state": "final", "license": LICENSE_ID, "tx": "0x" + "7c" * 32, "total": MONEY, "cause": None}
ROW = {
    "id": DATASET_ID, "name": "ada/tide-pools", "title": "Tide pools", "creator": "Ada", "kind": "image",
    "visibility": "sealed", "records": 1200, "price": MONEY,
}  # fmt: skip
SENTENCES = ["You may train.", "Credit Ada.", "More."]
QUOTE = {
    "id": "q-1", "offer": "0f" * 32, "dataset": DATASET_ID, "title": "Tide pools", "total": MONEY, "private": False,
    "state": "ready", "expires": "2026-12-01T12:00:00Z", "sentences": SENTENCES,
}  # fmt: skip
PRIVATE = {**QUOTE, "id": "q-2", "offer": "1f" * 32, "private": True}
OFFER = {"digest": "0f" * 32, "price": MONEY, "sentences": SENTENCES}
LICENSE = {
    "id": LICENSE_ID, "title": "Tide pools", "state": "active", "end": "2028-11-20T12:00:00Z", "price": MONEY,
    "uses": ["fine-tune", "evaluate"],
}  # fmt: skip
SEARCHED = {"datasets": 3, "index_version": 9, "algorithms": ["cadastre.text/1"], "time": "2026-11-20T12:00:00Z"}


@pytest.fixture
def market(site, cleo, goods):
    """A site that sells one dataset and takes reports."""
    site.on("GET", "/api/v1/me", {
        "account": {"slug": "cleo", "display_name": "Cleo"}, "scopes": ["read"],
        "balance": {"available": MONEY, "held": MONEY},
    })  # fmt: skip
    site.on("GET", "/api/v1/deployment", goods.pins())
    site.on("GET", "/api/v1/wallets", {"results": [{"address": "0x" + "c1" * 20, "owns": False}]})
    site.on("GET", "/api/v1/datasets", {"results": [ROW], "next": None})
    site.on("GET", f"/api/v1/datasets/{DATASET_ID}", ROW)
    site.on("GET", f"/api/v1/datasets/{DATASET_ID}/trail", Answer(goods.bundle().to_bytes()))
    site.on("GET", "/log/checkpoint", Answer(goods.bundle().checkpoint.encode()))
    site.on("POST", "/api/v1/quotes", Answer(QUOTE, 201))
    site.on("GET", "/api/v1/quotes", {"results": [PRIVATE], "next": None})
    site.on("GET", "/api/v1/quotes/q-2", PRIVATE)
    site.on("GET", f"/api/v1/datasets/{DATASET_ID}/offers", {"results": [OFFER], "next": None})
    site.on("POST", "/api/v1/orders", Answer(ORDER, 201))
    site.on("GET", "/api/v1/orders/" + ORDER_ID, ORDER)
    site.on("GET", f"/api/v1/licenses/{LICENSE_ID}/bundle", Answer(goods.bundle().to_bytes()))
    site.on("GET", "/api/v1/licenses", {"results": [LICENSE], "next": None})
    site.on("POST", f"/api/v1/licenses/{LICENSE_ID}/grants", Answer({"results": []}, 202))
    site.on("POST", "/api/v1/usage", Answer({
        "digest": "ee" * 32, "unit": "records-1000", "quantity": "25000", "amount": MONEY, "cumulative_amount": MONEY,
        "state": "wanted",
    }, 201))  # fmt: skip
    site.on("POST", "/api/v1/look-up", {"result": "near", "datasets": [ROW], "searched": SEARCHED})
    serve(site, goods)
    return site


USAGE = [
    "--use",
    "fine-tune",
    "--quantity",
    "25000",
    "--from",
    "2026-11-01",
    "--to",
    "2026-11-02",
    "--model",
    "m",
    "--run",
    "r",
]


def words_of(command, tmp_path):
    """Each command as somebody might call it."""
    (tmp_path / "key").write_text("cad_cleo")
    (tmp_path / "a.txt").write_text("The tide comes in and goes out again, twice a day.\n")
    return {
        "login": ["--key-file", tmp_path / "key"],
        "me": [],
        "wallet": ["list"],
        "search": ["tide"],
        "buy": [DATASET_ID, "--out", tmp_path / "bundle.json"],
        "offers": [DATASET_ID],
        "order": [ORDER_ID],
        "get": [LICENSE_ID, "--to", tmp_path / "data"],
        "licenses": [],
        "grant": [LICENSE_ID, "--out", tmp_path / "bundle.json"],
        "report-usage": [LICENSE_ID, *USAGE],
        "publish": [tmp_path / "a.txt", "--yes"],
        "verify": [tmp_path / "true.json"],
        "log": [],
        "audit-settlement": ["1", "--rpc", "http://127.0.0.1:1"],
        "trail": [DATASET_ID, "--out", tmp_path / "trail.json"],
        "cid": [tmp_path / "a.txt"],
        "fingerprint": [tmp_path / "a.txt"],
        "lookup": [tmp_path / "a.txt"],
    }[command]


def commands():
    parser = build_parser()
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return sorted(found.choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_prints_one_json_value_with_json(command, run, market, goods, tmp_path):
    Publication(market, "open", "ready")
    (tmp_path / "true.json").write_bytes(goods.bundle().to_bytes())
    said = run(command, *words_of(command, tmp_path), "--json")
    assert said.json() is not None
    assert said.code == (4 if command == "audit-settlement" else 0), said.err


@pytest.mark.parametrize("command", commands())
def test_every_command_is_quiet_on_standard_error_when_asked(command, run, market, goods, tmp_path):
    Publication(market, "open", "ready")
    (tmp_path / "true.json").write_bytes(goods.bundle().to_bytes())
    said = run("--quiet", command, *words_of(command, tmp_path))
    assert said.err == "" or said.code == 4


def test_a_search_prints_names_that_other_commands_take(run, market):
    assert (
        run("search", "tide").out == "ada/tide-pools  Tide pools, by Ada  image, sealed, 1,200 records  240.00 TUSD\n"
    )


@pytest.mark.parametrize(
    ("words", "meant", "said"),
    [
        (["tied", "pols"], "tide pools", "Did you mean: cadastre search tide pools"),
        (["zebra"], None, "Try fewer words, or no filters."),
        (["--kind", "audio"], None, "Try fewer words, or no filters."),
    ],
)
def test_a_search_that_finds_nothing_says_what_to_do(run, market, words, meant, said):
    market.on("GET", "/api/v1/datasets", {"results": [], "next": None, "meant": meant})
    assert said in run("search", *words).out


def test_offers_names_what_buy_takes(run, market):
    said = run("offers", DATASET_ID)
    assert f"--offer {OFFER['digest']}" in said.out
    assert f"--quote {PRIVATE['id']}" in said.out
    assert run("offers").out.count("To buy it") == 1, "without a dataset only what was offered to the account"
    assert run("offers", "--json").json() == {"public": [], "private": [PRIVATE]}
    market.on("GET", "/api/v1/quotes", {"results": [], "next": None})
    assert run("offers").out == "Nothing was offered to you alone.\n"


def test_a_private_offer_is_ordered_by_its_quote_and_one_of_another_dataset_is_not(run, market, tmp_path):
    said = run("buy", DATASET_ID, "--quote", "q-2", "--out", tmp_path / "bundle.json")
    assert said.code == 0, said.err
    assert market.requests("POST", "/api/v1/orders")[0].json()["quote"] == "q-2"
    market.on("GET", "/api/v1/quotes/q-2", {**PRIVATE, "dataset": DATASET_ID[:-1] + "9"})
    said = run("buy", DATASET_ID, "--quote", "q-2")
    assert (said.code, "another dataset" in said.err) == (1, True)
    assert len(market.requests("POST", "/api/v1/orders")) == 1


def test_licenses_says_what_may_be_used_until_when(run, market):
    assert run("licenses").out == (
        f"{LICENSE_ID}  Tide pools  active until 2028-11-20: fine-tune, evaluate  240.00 TUSD\n"
    )
    market.on("GET", "/api/v1/licenses", {"results": [], "next": None})
    assert run("licenses").out == "You have no licenses.\n"


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("records-1000", "25,000 records;"), ("tokens-1000000", "25,000 tokens;"), ("run", "25,000 runs;"),
        ("gigabyte", "25,000 bytes;"), (None, "25,000 under a license without a rate;"),
    ],
)  # fmt: skip
def test_a_report_says_what_was_counted(run, market, unit, said):
    found = {
        "digest": "ee" * 32, "state": "wanted", "unit": unit, "quantity": "25000", "amount": MONEY,
        "cumulative_amount": MONEY,
    }  # fmt: skip
    market.on("POST", "/api/v1/usage", Answer(found, 201))
    assert f"Reported: {said}" in run("report-usage", LICENSE_ID, *USAGE).out


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--quantity", "2.5", "is no whole number: write 25000"),
        ("--quantity", "-3", "is no whole number"),
        ("--from", "30.11.2026", "is no date: write 2026-11-30"),
        ("--to", "2026-11-31", "is no date"),
    ],
)
def test_a_report_of_no_number_or_no_day_is_not_sent(run, market, capsys, option, value, words):
    with pytest.raises(SystemExit) as ended:
        run("report-usage", LICENSE_ID, *USAGE, f"{option}={value}")
    assert (ended.value.code, words in capsys.readouterr().err) == (2, True)
    assert not market.requests("POST", "/api/v1/usage")


def test_a_key_that_was_refused_is_not_waited_for(run, market, tmp_path):
    reason = problem(422, "bundle.key_refused", "The key was not granted.", actual="withheld")
    market.on("GET", f"/api/v1/licenses/{LICENSE_ID}/bundle", reason)
    said = run("grant", LICENSE_ID, "--out", tmp_path / "bundle.json")
    assert (said.code, "The key was not granted" in said.err) == (1, True)
    assert not (tmp_path / "bundle.json").exists()


def test_a_refusal_is_one_line_and_exit_code_1(run, site, cleo):
    reason = problem(422, "quote.price", "The price\nis too high.", limit="10", actual="20", todo="Ask again.")
    site.on("GET", "/api/v1/datasets", reason)
    said = run("search")
    assert (said.code, said.out) == (1, "")
    assert said.err == "cadastre: The price is too high. (limit 10, actual 20) Ask again.\n"


def test_a_refusal_with_json_is_one_value_with_the_problem(run, site, cleo):
    site.on("GET", "/api/v1/datasets", problem(422, "quote.price", "Too high.", limit=10, actual=20))
    error = run("--json", "search").json()["error"]
    assert (error["code"], error["limit"], error["actual"]) == ("quote.price", 10, 20)


def test_an_unreachable_site_exits_5(run, site, cleo):
    with FakeSite() as gone:
        address = gone.url
    said = run("--site", address, "search")
    assert said.code == 5
    assert f"{address} does not answer" in said.err
    assert "--site" in said.err


def test_words_that_are_no_command_exit_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["sell"])
    assert ended.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_ctrl_c_exits_130_and_says_how_to_go_on(run, site, cleo, monkeypatch, words):
    def interrupted(*_words, **_filters):
        raise KeyboardInterrupt

    monkeypatch.setattr("cadastre.client.Client.search", interrupted)
    said = run(*words, "search")
    assert said.code == 130
    assert said.err == "cadastre: Stopped; run the same command to go on.\n"


def test_a_disk_that_refuses_is_a_refusal(run, market, tmp_path):
    (tmp_path / "a file").touch()
    said = run("trail", DATASET_ID, "--out", tmp_path / "a file" / "trail.json")
    assert said.code == 1
    assert len(said.err.splitlines()) == 1


def test_a_fault_of_the_program_itself_is_not_hidden(run, site, cleo, monkeypatch):
    def broken(*_words, **_filters):
        raise ZeroDivisionError

    monkeypatch.setattr("cadastre.client.Client.search", broken)
    with pytest.raises(ZeroDivisionError):
        run("search")


def test_options_of_all_commands_stand_before_or_behind_the_command():
    for words in (["--json", "--site", "http://x", "me"], ["me", "--json", "--site", "http://x"]):
        options = build_parser().parse_args(words, argparse.Namespace(site=None, json=False, quiet=False))
        assert (options.json, options.site, options.quiet) == (True, "http://x", False)


def test_a_purchase_keeps_its_bundle_and_says_what_comes_next(run, market, tmp_path):
    said = run("buy", DATASET_ID, "--out", tmp_path / "deep" / "bundle.json")
    assert said.code == 0
    assert (tmp_path / "deep" / "bundle.json").read_bytes().startswith(b'{"anchors"')
    assert f"Paid. Your license is valid: {LICENSE_ID}" in said.out
    assert "Tide pools: 240.00 TUSD. You may train. Credit Ada." in said.err


def test_a_purchase_whose_reply_was_lost_is_the_same_purchase(run, market, tmp_path):
    made = {}

    def order(asked):
        key = asked.headers["idempotency-key"]
        first = key not in made
        made.setdefault(key, {**ORDER, "id": f"o-{len(made) + 1}"})
        return Answer(made[key], 201, lost=first)

    market.on("POST", "/api/v1/orders", order)
    words = ["--json", "buy", DATASET_ID, "--out", tmp_path / "bundle.json"]
    first, second = run(*words), run(*words)
    assert first.json()["id"] == second.json()["id"] == "o-1"
    assert len(made) == 1
    assert run(*words, "--key", "another").json()["id"] == "o-2"


def test_a_purchase_is_watched_until_it_is_final(run, market, tmp_path):
    market.on("POST", "/api/v1/orders", Answer({**ORDER, "state": "placed", "license": None}, 202))
    market.in_turn(
        "GET", "/api/v1/orders/" + ORDER_ID, {**ORDER, "state": "paying"}, {**ORDER, "state": "mined"}, ORDER
    )
    assert run("buy", DATASET_ID, "--out", tmp_path / "bundle.json").code == 0
    assert len(market.requests("GET", "/api/v1/orders/" + ORDER_ID)) == 3
    assert market.requests("GET", "/api/v1/orders/" + ORDER_ID)[0].headers["prefer"] == "wait=20"


def test_a_purchase_that_failed_says_that_nothing_was_charged(run, market, tmp_path):
    market.on("POST", "/api/v1/orders", Answer({**ORDER, "state": "failed", "cause": "The offer expired."}, 201))
    said = run("buy", DATASET_ID, "--out", tmp_path / "bundle.json")
    assert said.code == 1
    assert "The offer expired." in said.err
    assert "Nothing was charged" in said.err
    assert not (tmp_path / "bundle.json").exists()


def test_a_purchase_that_waits_for_approval_is_not_an_error(run, market, tmp_path):
    market.on("POST", "/api/v1/orders", Answer({**ORDER, "state": "approval", "license": None}, 202))
    said = run("buy", DATASET_ID, "--out", tmp_path / "bundle.json")
    assert (said.code, "waits for the approval" in said.out) == (0, True)


def test_a_price_above_the_limit_is_not_paid(run, market, tmp_path):
    said = run("buy", DATASET_ID, "--max-price", "239999999", "--out", tmp_path / "bundle.json")
    assert said.code == 1
    assert "limit 239999999, actual 240000000" in said.err
    assert market.requests("POST", "/api/v1/orders") == []


def test_a_name_that_nobody_has_is_refused(run, market):
    market.on("GET", "/api/v1/datasets", {"results": [], "next": None})
    assert run("buy", "ada/nothing").code == 1


def test_usage_names_model_and_run(run, market):
    assert run("report-usage", LICENSE_ID, *USAGE).code == 0
    asked = market.requests("POST", "/api/v1/usage")[0]
    report = asked.json()
    assert (report["model"], report["run"]) == ({"id": "m"}, {"id": "r"})
    assert report["period"] == {"from": "2026-11-01", "to": "2026-11-02"}
    run("report-usage", LICENSE_ID, *USAGE)
    assert market.requests("POST", "/api/v1/usage")[1].headers["idempotency-key"] == asked.headers["idempotency-key"]


def test_usage_beyond_the_keys_limit_says_that_it_waits(run, market):
    market.on("POST", "/api/v1/usage", {
        "digest": "de" * 32, "quantity": "25000", "unit": "records-1000", "amount": {"text": "20.00 TUSD"},
        "state": "approval",
    })  # fmt: skip
    said = run("report-usage", LICENSE_ID, *USAGE)
    assert said.code == 0
    assert "this report would cost 20.00 TUSD" in said.out
    assert "it waits for approval" in said.out


def test_usage_with_secret_names_sends_commitments_only(run, market):
    assert run("report-usage", LICENSE_ID, *USAGE, "--secret-names").code == 0
    report = market.requests("POST", "/api/v1/usage")[0].json()
    assert set(report["model"]) == set(report["run"]) == {"commitment"}
    assert len(report["model"]["commitment"]) == 64
    assert hashlib.sha256(b"m").hexdigest() not in json.dumps(report)


def test_a_look_up_sends_the_file_or_its_digest_alone(run, market, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The tide comes in.")
    said = run("lookup", path)
    assert said.out.startswith("Near match; compared with 3 datasets")
    run("lookup", path, "--hash-only")
    whole, digest = market.requests("POST", "/api/v1/look-up")
    assert whole.body == path.read_bytes()
    assert digest.json() == {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_large_file_is_looked_up_by_its_digest(run, market, tmp_path, monkeypatch):
    monkeypatch.setattr("cadastre.commands.local.WHOLE_FILE_LIMIT", 10)
    (tmp_path / "large").write_bytes(b"x" * 11)
    said = run("lookup", tmp_path / "large")
    assert "exact matches only" in said.err
    assert "sha256" in market.requests("POST", "/api/v1/look-up")[0].json()


def test_no_match_is_not_called_proof(run, market, tmp_path):
    market.on("POST", "/api/v1/look-up", {"result": "none", "datasets": [], "searched": SEARCHED})
    (tmp_path / "a").write_bytes(b"x")
    assert "no proof" in run("lookup", tmp_path / "a").out


def test_fingerprints_are_those_of_the_register(run, tmp_path):
    from provenance.fingerprints.registry import HEAD, sketch_file, sniff_kind, to_bytes

    data = b"station,reading\n" + b"".join(b"%d,%d\n" % (row, row * row % 97) for row in range(500))
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "table.csv"
    path.write_bytes(data)
    (tmp_path / "set" / "noise.bin").write_bytes(bytes(range(256)))
    noise, table = run("--json", "fingerprint", tmp_path / "set").json()
    records = sketch_file(sniff_kind(data[:HEAD]), lambda: path.open("rb"), len(data))
    assert table["sketches"] == [to_bytes(record).hex() for record in records]
    assert (table["algorithm"], table["sha256"]) == ("cadastre.table/2", hashlib.sha256(data).hexdigest())
    assert (noise["algorithm"], noise["sketches"]) == (None, [])


@pytest.mark.parametrize("command", ["search", "buy"])
def test_an_amount_that_is_none_is_refused_before_anything_is_asked(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "1-2", "--max-price", "99.50"])
    assert ended.value.code == 2
    assert "99.50" in capsys.readouterr().err


@pytest.mark.parametrize("site", ["register.example", "http://[::1", "http://host:port", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused_in_words(run, site):
    said = run("search", "--site", site)
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert "is not the address of a site" in said.err


def test_a_key_file_that_holds_something_else_is_refused_in_words(run, site, tmp_path):
    picture, poem = tmp_path / "picture", tmp_path / "poem"
    picture.write_bytes(b"\x89PNG\xff\xfe")
    poem.write_text("roses\nare red")
    for path in (picture, poem):
        said = run("login", "--site", site.url, "--key-file", path)
        assert (said.code, said.err.count("\n")) == (1, 1)
    assert "no API key" in said.err


def test_a_file_that_is_no_bundle_is_named(run, tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Cleo")
    said = run("get", letter)
    assert said.code == 1
    assert f"{letter} is not a bundle" in said.err


def test_a_file_that_is_not_there_is_named_without_the_machines_numbers(run, tmp_path):
    said = run("lookup", tmp_path / "nowhere")
    assert said.err == f"cadastre: {tmp_path / 'nowhere'}: No such file or directory.\n"


def test_progress_in_a_pipe_is_a_line_now_and_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("cadastre.console.monotonic", lambda: clock[0])
    console = Console(out=io.StringIO(), err=io.StringIO(), _began=clock[0])
    for second in range(31):
        clock[0] = 100.0 + second
        console.progress(f"second {second}")
    console.result({}, "Done.")
    assert console.err.getvalue() == "second 10\nsecond 20\nsecond 30\n"
    assert console.out.getvalue() == "Done.\n"


def test_progress_on_a_terminal_replaces_itself():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    watched, piped = Terminal(), io.StringIO()
    for err in (watched, piped):
        console = Console(out=io.StringIO(), err=err)
        console.progress("Fetching blocks: 3 of 9")
        console.refuse(Refusal("x", "No."))
    assert watched.getvalue() == "\rFetching blocks: 3 of 9\r" + " " * 23 + "\rcadastre: No.\n"
    assert piped.getvalue() == "cadastre: No.\n"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (9_999, "9,999 bytes"), (12_345, "12.3 kB"), (1_500_000, "1.5 MB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes_are_written_as_people_write_them(count, words):
    assert size_in_words(count) == words


def test_exit_codes_are_said_in_the_help():
    words = build_parser().format_help()
    for code in (0, cli.REFUSED, 2, 3, cli.UNDECIDED, cli.NO_SITE):
        assert f"{code} " in words
