from contracts import build, gas
from tests.services.presence import missing

PAGE = build.ROOT / "docs" / "gas.md"


def test_the_page_is_what_a_new_measurement_writes() -> None:
    try:
        measured = gas.render(gas.measure_on_new_chain())
    except gas.LocalNodeMissing as refusal:
        missing("anvil", refusal.todo or "")
    assert measured == PAGE.read_text(encoding="utf-8"), "run `make gas`"
