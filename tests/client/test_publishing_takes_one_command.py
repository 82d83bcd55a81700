import json

import pytest

from tests.client.site import Answer, problem

DRAFT = "/api/v1/drafts/d1"
DATASET = "31337-" + "a1" * 20 + "-12"


class Publication:
    """The site's side of one draft: `states` are what each look at it finds, the last one for ever."""

    def __init__(self, site, *states, **found):
        self.site, self.states, self.found, self.changes, self.sent = site, list(states), found, {}, {}
        site.on("POST", "/api/v1/drafts", Answer(self.shown("open"), 201))
        site.on("GET", DRAFT, lambda _asked: self.look())
        site.on("PATCH", DRAFT, self.patch)
        site.on("GET", f"{DRAFT}/files", {"results": [], "next": None})
        site.on("POST", f"{DRAFT}/files", self.create)
        site.on("HEAD", "/api/v1/uploads/*", lambda asked: self.standing(asked, 200))
        site.on("PATCH", "/api/v1/uploads/*", self.receive)
        site.on("POST", f"{DRAFT}/check", lambda _asked: Answer(self.shown("checking"), 202))
        review = {"public": {"title": "Tide pools"}, "digest": "ab" * 32, "conflicts": [], "missing": []}
        site.on("GET", f"{DRAFT}/review", {**review, **found.get("review", {})})
        site.on("POST", f"{DRAFT}/confirm", self.confirm)
        site.on("GET", f"{DRAFT}/matches", {"results": found.get("matches", []), "next": None})

    def shown(self, state):
        return {
            "id": "d1", "state": state, "revision": 4, "dataset": DATASET if state == "published" else None,
            "manifest": "cd" * 32, "matches": len(self.found.get("matches", [])),
            "refusal": self.found.get("refusal"),
            "stages": [{"name": "hash", "state": "running", "done": 1, "total": 2, "unit": "files"}],
        }  # fmt: skip

    def look(self):
        return self.shown(self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def patch(self, asked):
        self.changes |= asked.json()
        return self.shown("open")

    def create(self, asked):
        import base64

        path = base64.b64decode(asked.headers["upload-metadata"].split(",")[0].split(" ")[1]).decode()
        location = f"/api/v1/uploads/{len(self.sent)}"
        self.sent[location] = [path, b""]
        return Answer({"upload": location}, 201, {"Location": location})

    def standing(self, asked, status):
        return Answer(b"", status, {"Upload-Offset": str(len(self.sent[asked.path][1]))})

    def receive(self, asked):
        self.sent[asked.path][1] += asked.body
        return self.standing(asked, 204)

    def confirm(self, asked):
        assert asked.json() == {"digest": "ab" * 32}
        self.states = ["publishing", "published"]
        return Answer(self.shown("publishing"), 202)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "tide-pools"
    (root / "photos").mkdir(parents=True)
    (root / "photos" / "1.jpg").write_bytes(b"one")
    (root / "readme.txt").write_bytes(b"Photographs.")
    return root


def test_a_folder_is_uploaded_described_checked_confirmed_and_published(run, site, cleo, folder):
    publication = Publication(site, "open", "checking", "ready")
    said = run(
        "--json", "publish", folder, "--title", "Tide pools", "--kind", "image", "--preset", "train-only",
        "--price", "240.00", "--rights", "own-work", "--share", "noor=7.25", "--parent", f"{DATASET}=31337-x-5",
        "--yes",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert said.json()["dataset"] == DATASET
    assert dict(publication.sent.values()) == {"photos/1.jpg": b"one", "readme.txt": b"Photographs."}
    changes = publication.changes
    assert (changes["title"], changes["price"], changes["revision"]) == ("Tide pools", "240.00", 4)
    assert changes["splits"] == [{"account": "noor", "bps": 725, "role": "contributor"}]
    assert changes["parents"] == [{"dataset": DATASET, "license": "31337-x-5"}]
    assert changes["rights"][0]["basis"] == "own-work"
    assert changes["terms"]["schema"] == "cadastre.terms/1"
    assert len(site.requests("POST", f"{DRAFT}/confirm")) == 1


def test_the_address_of_what_was_published_is_printed(run, site, cleo, folder):
    Publication(site, "open", "ready")
    assert f"Published: {site.url}/d/{DATASET}" in run("publish", folder, "--yes").out


def test_a_copy_is_stopped_with_what_it_matches_and_what_can_be_answered(run, site, cleo, folder):
    match = {"share_percent": "98 %", "title": "Tide pools", "kind": "image", "id": "7"}
    refusal = {
        "code": "gate.stopped",
        "title": "Too much of it is registered already.",
        "limit": "10 %",
        "actual": "98 %",
    }
    Publication(site, "open", "checking", "held", matches=[match], refusal=refusal)
    said = run("publish", folder, "--yes")
    assert said.code == 1
    assert "98 % of its records match “Tide pools” (image)" in said.err
    assert "limit 10 %, actual 98 %" in said.err
    assert f"{site.url}/publish/d1/checks" in said.err
    assert "--draft d1" in said.err.splitlines()[-1]
    assert site.requests("POST", f"{DRAFT}/confirm") == []


def test_a_draft_goes_on_after_its_matches_were_answered(run, site, cleo, folder):
    publication = Publication(site, "held", "ready")
    assert run("publish", folder, "--draft", "d1", "--yes").code == 0
    assert publication.sent == {}
    assert len(site.requests("POST", f"{DRAFT}/check")) == 1


def test_ctrl_c_names_the_draft_to_go_on_with(run, site, cleo, folder, monkeypatch):
    def interrupted(*_words, **_fields):
        raise KeyboardInterrupt

    Publication(site, "open")
    monkeypatch.setattr("cadastre.client.Client.upload", interrupted)
    said = run("publish", folder, "--yes")
    assert said.code == 130
    assert said.err.endswith("cadastre: Stopped; to go on, run it again with --draft d1.\n")


def test_a_draft_that_is_being_published_is_only_waited_for(run, site, cleo, folder):
    Publication(site, "publishing", "publishing", "published")
    assert run("publish", folder, "--draft", "d1", "--yes").code == 0
    assert site.requests("POST", f"{DRAFT}/confirm") == site.requests("POST", f"{DRAFT}/check") == []


@pytest.mark.parametrize(
    ("review", "words"),
    [
        (
            {"conflicts": ["Uses: the parent forbids redistribution."]},
            "The terms conflict with others: Uses: the parent",
        ),
        ({"missing": ["title", "price"]}, "The draft is not complete: title · price"),
    ],
)
def test_what_cannot_be_published_is_listed_whole(run, site, cleo, folder, review, words):
    Publication(site, "open", "ready", review=review)
    said = run("publish", folder, "--yes")
    assert said.code == 1
    assert words in said.err
    assert site.requests("POST", f"{DRAFT}/confirm") == []


@pytest.mark.parametrize(("answer", "code", "confirmed"), [("y\n", 0, 1), ("n\n", 1, 0), ("", 1, 0)])
def test_nothing_is_published_without_a_yes(run, site, cleo, folder, monkeypatch, answer, code, confirmed):
    import io

    Publication(site, "open", "ready")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    said = run("publish", folder)
    assert said.code == code
    assert '"title": "Tide pools"' in said.err
    assert len(site.requests("POST", f"{DRAFT}/confirm")) == confirmed


def test_a_description_comes_from_a_file_and_options_win(run, site, cleo, folder, tmp_path):
    publication = Publication(site, "open", "ready")
    (tmp_path / "describe.json").write_text(json.dumps({"title": "From the file", "languages": ["en"]}))
    assert (
        run("publish", folder, "--describe", tmp_path / "describe.json", "--title", "From the option", "--yes").code
        == 0
    )
    assert (publication.changes["title"], publication.changes["languages"]) == ("From the option", ["en"])


@pytest.mark.parametrize(
    "words",
    [
        ["--share", "noor"], ["--share", "noor=7.255"], ["--share", "=5"], ["--share", "noor=a"],
        ["--rights", "licensed"], ["--rights", "open-license"],
    ],
)  # fmt: skip
def test_a_description_that_makes_no_sense_is_refused_before_anything_is_sent(run, site, cleo, folder, words):
    assert run("publish", folder, *words).code == 1
    assert site.asked == []


@pytest.mark.parametrize("content", ["no json", "[]"])
def test_a_file_that_is_no_description_is_refused(run, site, cleo, folder, tmp_path, content):
    (tmp_path / "describe.json").write_text(content)
    assert run("publish", folder, "--describe", tmp_path / "describe.json").code == 1
    assert site.asked == []


def test_an_empty_folder_opens_no_draft(run, site, cleo, tmp_path):
    (tmp_path / "empty").mkdir()
    said = run("publish", tmp_path / "empty")
    assert (said.code, "holds no files" in said.err) == (1, True)
    assert site.asked == []


def test_the_sites_reason_reaches_the_publisher_whole(run, site, cleo, folder):
    Publication(site, "open")
    site.on(
        "PATCH", DRAFT,
        problem(422, "splits.sum", "The shares exceed the income.", limit="100 %", actual="120 %", todo="Lower them."),
    )  # fmt: skip
    said = run("publish", folder, "--title", "x")
    assert said.err.splitlines()[-1] == (
        "cadastre: The shares exceed the income. (limit 100 %, actual 120 %) Lower them."
    )


def test_a_description_that_is_refused_leaves_no_draft_behind(run, site, cleo, folder):
    Publication(site, "open")
    site.on("PATCH", DRAFT, problem(422, "amount.decimals", "tUSD has 6 decimals; the amount has more."))
    site.on("DELETE", DRAFT, Answer(b"", 204))
    said = run("publish", folder, "--price", "1.2345678", "--yes")
    assert said.code == 1
    assert "6 decimals" in said.err
    assert len(site.requests("DELETE", DRAFT)) == 1
    assert run("publish", folder, "--price", "1.2345678", "--draft", "d1", "--yes").code == 1
    assert len(site.requests("DELETE", DRAFT)) == 1, "somebody else's work is in that draft"


def test_a_parent_may_be_named_as_people_name_it(run, site, cleo, folder):
    publication = Publication(site, "open", "ready")
    site.on("GET", "/api/v1/datasets", {"results": [{"id": DATASET, "title": "Tide pools"}], "next": None})
    assert run("publish", folder, "--parent", "ada/tide-pools=31337-x-5", "--yes").code == 0
    assert publication.changes["parents"] == [{"dataset": DATASET, "license": "31337-x-5"}]
