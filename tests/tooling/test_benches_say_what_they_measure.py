import importlib
from pathlib import Path

import pytest

from bench.__main__ import PIECES, TARGETS, _median, main, table
from bench.result import Result

FOLDER = Path(__file__).parents[2] / "bench"


def row(**changes):
    made = {"name": "CID, 1 thread", "ours": 99.0, "peer": 100.0, "ratio": 0.99, "unit": "MiB/s", "note": "a note"}
    return Result(**{**made, **changes})


@pytest.mark.parametrize("name", PIECES)
def test_every_piece_is_a_function_that_exists(name):
    module, _, function = PIECES[name].function.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_target_is_of_a_result_that_some_piece_gives():
    sources = "".join(path.read_text() for path in FOLDER.glob("*.py") if path.name != "__main__.py")
    for name in TARGETS:
        written = name.replace("1024", "{size // MIB}").removeprefix("hot read, ")
        assert f'"{written}"' in sources, name


def test_the_run_with_the_median_ratio_is_shown_with_all_ratios():
    shown = _median([row(ratio=0.5), row(ratio=2.0), row(ratio=0.97)])
    assert (shown["ratio"], shown["ratios"]) == (0.97, [0.5, 2.0, 0.97])
    assert (shown["target"], shown["met"]) == (0.95, True)
    assert _median([row(ratio=0.9)])["met"] is False


def test_a_result_without_a_target_is_neither_met_nor_missed():
    shown = _median([row(name="something else")])
    assert (shown["target"], shown["met"]) == (None, None)


def test_the_table_has_one_line_for_each_result():
    lines = table([_median([row()]), _median([row(ratio=0.5)]), _median([row(name="else")])]).splitlines()
    assert len(lines) == 4
    assert [line.split("  ")[0] for line in lines[1:]] == ["CID, 1 thread", "CID, 1 thread", "else"]
    assert ("✓" in lines[1], "✕" in lines[2], "–" in lines[3]) == (True, True, True)
    assert all(line.endswith("a note") for line in lines[1:])


def test_a_name_that_is_no_piece_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["cids"])
    assert ended.value.code == 2
    assert "no such piece: cids" in capsys.readouterr().err


def test_a_piece_that_hangs_is_named_and_does_not_keep_the_others_from_theirs(monkeypatch, capsys):
    monkeypatch.setattr(importlib.import_module("bench.__main__"), "PATIENCE", 0.01)
    assert main(["text", "tables"]) == 1
    said = capsys.readouterr().err
    assert "text failed" in said
    assert "tables failed" in said
