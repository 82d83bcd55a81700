import hashlib
import io

import pytest

from provenance import look_up
from provenance.core.refusal import Refusal
from tests.content.conftest import BEN, NOW
from tests.content.pictures import altered, photo, prose, table

pytestmark = pytest.mark.django_db

FILES = {"p.jpg": photo(1), "t.txt": prose(1), "r.csv": table(1)}


def asked(data):
    return look_up.look_up_file(io.BytesIO(data), now=NOW)


@pytest.fixture
def published(world):
    """A sealed dataset of a picture, a text and a table."""
    return world.publish(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_same_file_is_found_exactly_and_by_its_digest_alone(published, name):
    for answer in (
        asked(FILES[name]),
        look_up.look_up_digest(hashlib.sha256(FILES[name]).hexdigest(), now=NOW),
    ):
        assert answer.result == "exact"
        assert [(found.dataset, found.title) for found in answer.found] == [(published.dataset, "Photographs")]
        assert name not in repr(answer)


def test_an_altered_picture_is_found_near(published):
    answer = asked(altered(FILES["p.jpg"]))
    assert (answer.result, answer.found[0].dataset) == ("near", published.dataset)


def test_an_excerpt_of_a_text_is_found(published):
    answer = asked(b" ".join(FILES["t.txt"].split()[1000:2500]))
    assert answer.result in {"near", "exact"}


def test_what_is_not_here_is_not_found_and_the_answer_says_what_was_searched(published):
    answer = asked(photo(2))
    assert (answer.result, answer.found) == ("none", ())
    assert answer.searched == look_up.Searched(1, 1, ("sha256", "cadastre.image/2"), NOW)
    assert look_up.look_up_digest("ab" * 32, now=NOW).result == "none"


def test_what_is_only_being_published_is_not_told(world):
    world.submit({"p.jpg": photo(5)}, by=BEN)
    assert asked(photo(5)).result == "none"
    assert look_up.look_up_digest(hashlib.sha256(photo(5)).hexdigest(), now=NOW).result == "none"


def test_nothing_of_the_question_is_kept(published, var):
    before = sorted(path for path in var.rglob("*") if path.is_file())
    asked(photo(7))
    assert sorted(path for path in var.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda: asked(b""), "look_up.empty"),
        (lambda: look_up.look_up_digest("AB" * 32, now=NOW), "look_up.sha256"),
        (lambda: asked(photo(1)[:300]), "image.broken"),
    ],
)
def test_questions_that_make_no_sense_are_refused(world, ask, code):
    with pytest.raises(Refusal) as refused:
        ask()
    assert refused.value.code.startswith(code.partition(".")[0])


def test_a_file_above_the_limit_is_refused_without_reading_all_of_it(world, monkeypatch):
    monkeypatch.setattr(look_up, "FILE_BYTES", 1000)
    with pytest.raises(Refusal) as refused:
        asked(b"x" * 5000)
    assert (refused.value.code, refused.value.limit) == ("look_up.too_large", 1000)
