import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.core.money import (
    BPS,
    UNITS_LIMIT,
    Amount,
    MoneyRefusal,
    Token,
    check_bps,
    check_units,
    divide,
    percent,
    read_units,
)

USD = Token(31337, "0x" + "ab" * 20, "TUSD", 6)


@pytest.mark.parametrize(
    ("text", "units"),
    [("240.00", 240_000_000), ("240", 240_000_000), ("0.000001", 1), ("0", 0), (" 1.5 ", 1_500_000), ("7.", 7_000_000)],
)
def test_an_amount_is_read_as_people_write_it(text, units):
    assert Amount.parse(text, USD).units == units


def test_seven_decimals_are_refused_and_never_rounded():
    with pytest.raises(MoneyRefusal) as refusal:
        Amount.parse("1.0000001", USD)
    assert (refusal.value.code, refusal.value.limit, refusal.value.actual) == ("amount.decimals", 6, 7)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-1", "amount.negative"), ("1e3", "amount.text"), ("1,000", "amount.text"), ("", "amount.text"),
        (".", "amount.text"),
        ("٣", "amount.text"), ("0x10", "amount.text"), ("nan", "amount.text"),
        ("18446744073709.551616", "amount.too_large"),
        ("9" * 5_000, "amount.too_large"),
    ],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused_by_name(text, code):
    with pytest.raises(MoneyRefusal) as refusal:
        Amount.parse(text, USD)
    assert refusal.value.code == code


def test_the_largest_amount_fits():
    assert Amount.parse("18446744073709.551615", USD).units == UNITS_LIMIT


@given(st.integers(0, UNITS_LIMIT), st.integers(0, 6))
def test_writing_and_reading_an_amount_gives_it_back(units, decimals):
    token = Token(1, USD.address, "T", decimals)
    assert Amount.parse(Amount(units, token).written, token).units == units


@pytest.mark.parametrize(
    ("units", "text"), [(240_000_000, "240.00 TUSD"), (1, "0.000001 TUSD"), (1_250_000, "1.25 TUSD")]
)
def test_amounts_are_shown_with_two_decimals_or_as_many_as_they_need(units, text):
    assert str(Amount(units, USD)) == text


def test_amounts_of_two_tokens_do_not_add():
    other = Token(31337, "0x" + "cd" * 20, "EUR", 6)
    with pytest.raises(MoneyRefusal, match="two tokens"):
        Amount(1, USD) + Amount(1, other)
    assert (Amount(1, USD) + Amount(2, USD)).units == 3
    with pytest.raises(MoneyRefusal):
        Amount(1, USD) - Amount(2, USD)


def test_a_token_with_eighteen_decimals_is_refused_by_name():
    with pytest.raises(MoneyRefusal) as refusal:
        Token(1, USD.address, "DAI", 18)
    assert "DAI" in str(refusal.value)
    assert (refusal.value.limit, refusal.value.actual) == (6, 18)


def test_a_token_is_named_by_caip_19_in_one_spelling():
    assert Token.from_caip(USD.caip, symbol="TUSD", decimals=6) == USD
    for wrong in (USD.caip.upper(), USD.caip + "/1", "eip155:1/erc721:" + USD.address, ""):
        with pytest.raises(MoneyRefusal):
            Token.from_caip(wrong, symbol="TUSD", decimals=6)


@pytest.mark.parametrize("text", ["01", "+1", "-1", "1.0", "", " 1", "18446744073709551616", 5, None, True])
def test_amounts_in_documents_have_one_spelling(text):
    with pytest.raises(MoneyRefusal):
        read_units(text)


@pytest.mark.parametrize("units", [-1, UNITS_LIMIT + 1, True, 1.0])
def test_base_units_are_unsigned_64_bit_integers(units):
    with pytest.raises(MoneyRefusal):
        check_units(units)


@given(st.integers(0, UNITS_LIMIT), st.lists(st.integers(0, 2_000), max_size=5))
def test_dividing_gives_every_unit_to_exactly_one_owner(units, shares):
    parts = divide(units, list(enumerate(shares)), rest="owner")
    assert sum(parts.values()) == units
    assert all(amount >= 0 for amount in parts.values())
    assert parts["owner"] >= units - sum(units * share // BPS for share in shares) - 0


def test_the_remainder_goes_to_the_named_owner_who_may_also_have_a_share():
    assert divide(10, {"a": 3_333, "b": 3_333}, rest="owner") == {"a": 3, "b": 3, "owner": 4}
    assert divide(10, {"a": 3_333}, rest="a") == {"a": 10}


def test_shares_over_100_percent_are_refused():
    with pytest.raises(MoneyRefusal) as refusal:
        divide(10, {"a": 6_000, "b": 4_001}, rest="owner")
    assert (refusal.value.code, refusal.value.actual) == ("share.over_100_percent", 10_001)
    with pytest.raises(MoneyRefusal):
        check_bps(-1)


@pytest.mark.parametrize(("bps", "text"), [(500, "5 %"), (250, "2.5 %"), (1, "0.01 %"), (0, "0 %"), (10_000, "100 %")])
def test_basis_points_read_as_percent(bps, text):
    assert percent(bps) == text
