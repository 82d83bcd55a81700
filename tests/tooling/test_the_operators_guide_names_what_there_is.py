import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "operators.md").read_text()


def tabled(title):
    part = GUIDE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", part, flags=re.MULTILINE))


def test_every_alarm_has_its_row():
    sources = (path.read_text() for folder in ("marketplace", "provenance") for path in (ROOT / folder).rglob("*.py"))
    raised = set()
    for source in sources:
        for call in re.findall(r"raise_alarm\((.*?)\)", source, flags=re.DOTALL):
            raised |= set(re.findall(r'code="([a-z._]+)"', call))
            for name in re.findall(r"code=(_[A-Z_]+)", call):
                raised |= set(re.findall(rf'^{name} = "([a-z._]+)"$', source, flags=re.MULTILINE))
        raised |= set(re.findall(r'code = "([a-z._]+)" if .* else "[a-z._]+"$', source, flags=re.MULTILINE))
        raised |= set(re.findall(r'code = "[a-z._]+" if .* else "([a-z._]+)"$', source, flags=re.MULTILINE))
    assert {"journal.sum", "journal.shortage"} <= raised
    assert tabled("Looking at it") == raised


def test_every_command_has_its_row():
    there = {
        f"manage.py {path.stem}"
        for folder in ("marketplace", "provenance")
        for path in (ROOT / folder / "management" / "commands").glob("*.py")
        if path.stem != "__init__"
    }
    assert tabled("Commands") == there
