import pickle

from provenance.core.refusal import Refusal


class FileRefusal(Refusal):
    pass


def test_a_refusal_names_limit_actual_value_and_what_to_do():
    refusal = FileRefusal("file.too_large", "The file is too large.", limit=10, actual=11, todo="Split it.")
    assert str(refusal) == "The file is too large. (limit 10, actual 11) Split it."
    assert refusal.as_problem() == {
        "type": "urn:cadastre:problem:file.too_large",
        "title": "The file is too large.",
        "detail": str(refusal),
        "code": "file.too_large",
        "limit": 10,
        "actual": 11,
        "todo": "Split it.",
    }


def test_a_refusal_without_figures_says_only_what_it_knows():
    problem = Refusal("offer.expired", "The offer has expired.").as_problem()
    assert set(problem) == {"type", "title", "detail", "code"}


def test_a_zero_is_a_figure_and_not_an_absence():
    assert Refusal("folder.empty", "The folder is empty.", actual=0).as_problem()["actual"] == 0


def test_a_refusal_survives_the_way_between_two_processes():
    refusal = FileRefusal("file.too_large", "Too large.", limit=10, actual=11, todo="Split it.")
    restored = pickle.loads(pickle.dumps(refusal))
    assert type(restored) is FileRefusal
    assert restored.as_problem() == refusal.as_problem()
