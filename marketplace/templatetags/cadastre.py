"""How pages show hashes, money, sizes, times and the parcel mark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django import template
from django.conf import settings
from django.utils import translation
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from marketplace.core.caip import slug_of
from marketplace.core.money import Amount, Token, percent
from marketplace.core.sentences import unit_in_words as rate_unit_in_words
from marketplace.core.sentences import use_in_words
from marketplace.core.terms import RateUnit, Use
from marketplace.core.terms_in_brief import Phrase, uses_in_brief
from marketplace.queries import catalog
from marketplace.queries.deployments import DeploymentRefusal, current_deployment, payment_token, token_by_caip
from provenance.core.cid import Cid
from provenance.core.digest import Sha256
from provenance.core.parcel import draw_parcel
from provenance.models import Deployment

register = template.Library()
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_AFTER_NUMBER = re.compile(r"(?<=[0-9]) (?=[\w%])")

NOTE_CLASSES = {"success": "ok", "warning": "warn", "error": "bad"}


@register.filter
def note_class(level: str) -> str:
    """Return the class of a notice for a message level."""
    return NOTE_CLASSES.get(level, "")


WALLET_ACTS = {
    "offer": _("Offer it"),
    "cancel-offer": _("Make an ended offer worthless for good"),
    "splits": _("Put the shares of the income into force"),
    "derive-terms": _("Change what data built from it owes"),
    "hand-over": _("Hand it over"),
    "purchase": _("Pay for the license"),
    "voucher": _("Say what the reported use costs"),
    "deposit": _("Pay for the reported use"),
}


@register.filter
def wallet_act(act: str) -> str:
    """Return what a wallet's signature is for, in words."""
    return str(WALLET_ACTS[act])


@register.filter
def as_json(value: Any) -> str:
    """Return a value as JSON, for an attribute that a script reads."""
    return json.dumps(value, ensure_ascii=False)


@register.simple_tag
def parcel(digest: str, size: int = 96, label: str = "") -> SafeString:
    """Draw a manifest digest (64 hex digits); nothing for an empty one. Without a label it is decoration."""
    if len(digest) != 64:
        return SafeString("")
    drawn = draw_parcel(bytes.fromhex(digest), size=size, label=label)
    shown = drawn if label else drawn.replace('role="img" aria-label=""', 'aria-hidden="true"')
    return mark_safe(shown)  # noqa: S308 - our own drawing


@register.filter
def short(text: str) -> str:
    """Shorten a hash in the middle: `bafybeif…rpdb4`."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-5:]}"


@register.simple_tag
def mono(text: str, name: str = "") -> SafeString:
    """Show a hash shortened, with the whole of it on copy."""
    if not text:
        return SafeString("–")
    return format_html(
        '<span class="h" title="{}" data-copy="{}" data-name="{}">{}</span>', text, text, name, short(text)
    )


@register.filter
def money(units: int | None, token: str | Token = "") -> str:
    """Write base units as an amount with its symbol: `1,240.00 USD`."""
    if units is None:
        return "–"
    try:
        found = token if isinstance(token, Token) else token_by_caip(token) if token else payment_token()
    except DeploymentRefusal:
        return str(units)
    return amount_in_words(Amount(units, found))


@register.filter
def amount_in_words(amount: Amount) -> str:
    """Write an amount for people, with thousands apart: `1,240.00 USD`."""
    return f"{_grouped(amount.written)} {amount.token.symbol}"


def _grouped(written: str) -> str:
    whole, point, fraction = written.partition(".")
    return f"{int(whole):,}{point}{fraction}"


@register.filter
def price(units: int | None) -> str:
    """Write base units as an amount without its symbol, for large print."""
    if units is None:
        return "–"
    try:
        return _grouped(Amount(units, payment_token()).written)
    except DeploymentRefusal:
        return str(units)


@register.simple_tag
def symbol() -> str:
    """Return the symbol of the currency that prices are quoted in."""
    try:
        return payment_token().symbol
    except DeploymentRefusal:
        return ""


@register.filter
def native(wei: int | None) -> str:
    """Write what an address holds of the chain's own currency, to four places: `1,240.0512`."""
    if wei is None:
        return "–"
    whole, rest = divmod(wei, 10**18)
    return f"{whole:,}.{rest // 10**14:04}"


@register.simple_tag
def site() -> str:
    """Return the address under which people reach this site."""
    return str(settings.CADASTRE_PUBLIC_URL)


@register.filter
def share(bps: int) -> str:
    """Write basis points as a percentage."""
    return percent(bps)


@register.filter
def size(count: int | None) -> str:
    """Write bytes as people do: `11.4 GB`."""
    if count is None:
        return "–"
    for unit, base in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= base:
            return f"{count / base:.1f} {unit}"
    return ngettext("%(count)s byte", "%(count)s bytes", count) % {"count": count}


@register.simple_tag
def when(moment: datetime | int | str | None, relative: bool = False) -> SafeString:  # noqa: FBT001, FBT002 - a template tag's argument
    """Show a moment in UTC; with `relative`, the browser adds how long ago it was."""
    if moment is None or moment == "":
        return SafeString("–")
    if isinstance(moment, int):
        moment = datetime.fromtimestamp(moment, tz=UTC)
    elif isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    machine, shown = _in_utc(moment)
    # The browser says how long ago it was: beside it, or to whoever points at it.
    return format_html(
        '<time datetime="{}"{}>{}</time>', machine, SafeString(" data-relative" if relative else ""), shown
    )


@register.simple_tag
def ago(moment: datetime) -> SafeString:
    """Show how long ago something was, where there is room for one time only; the moment in UTC is its title."""
    machine, shown = _in_utc(moment)
    return format_html('<time datetime="{}" title="{}" data-ago>{}</time>', machine, shown, shown)


def _in_utc(moment: datetime) -> tuple[str, str]:
    """Return a moment for programs and for people."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment.day} {moment:%b %Y, %H:%M} UTC"


@register.simple_tag
def as_of_block(deployment: Deployment | None = None) -> SafeString:
    """Say up to which block of the chain a page tells what happened, and how long ago the node said so."""
    try:
        found = deployment or current_deployment()
    except DeploymentRefusal:
        return SafeString("")
    if found.followed_at is None:
        return SafeString("")
    words = gettext("As of block {block}, {time}.")
    return format_html(
        '<p class="muted small">{}</p>', format_html(words, block=f"{found.finalized:,}", time=ago(found.followed_at))
    )


@register.filter
def item(mapping: dict[str, Any], key: str) -> Any:
    """Look a key up."""
    return mapping.get(key)


@register.filter
def records_in_words(count: int, kind: str) -> str:
    """Say how many records of a kind: `4,812 photographs`."""
    figures = {"count": f"{count:,}"}
    match kind:
        case "image":
            return ngettext("%(count)s picture", "%(count)s pictures", count) % figures
        case "table":
            return ngettext("%(count)s row", "%(count)s rows", count) % figures
        case "text":
            return ngettext("%(count)s text", "%(count)s texts", count) % figures
        case "audio":
            return ngettext("%(count)s recording", "%(count)s recordings", count) % figures
        case _:
            return ngettext("%(count)s record", "%(count)s records", count) % figures


@register.filter
def set_phrases(phrases: Iterable[Phrase]) -> SafeString:
    """Set the phrases of terms in brief, those that decide in bold."""
    texts = ((unbroken(each.text), each.strong) for each in phrases)
    return format_html_join("", "{}", ((format_html("<b>{}</b>", text) if strong else text,) for text, strong in texts))


@register.filter
def unbroken(text: str) -> str:
    """Keep each number and the word behind it on one line."""
    return _AFTER_NUMBER.sub("\u00a0", text)


@register.filter
def title_of(caip: str) -> str:
    """Return the title that a dataset is listed under, or its id."""
    return catalog.title_of(caip)


@register.filter
def dataset_id(caip: str) -> str:
    """Return the id in addresses of a dataset or license."""
    return slug_of(caip)


@register.filter
def hours(seconds: int) -> str:
    """Write a delay as people do: `24 hours`, `90 seconds`."""
    if seconds >= 2 * _DAY or seconds == _DAY:
        return ngettext("%(count)s day", "%(count)s days", seconds // _DAY) % {"count": seconds // _DAY}
    if seconds >= 2 * _HOUR or seconds == _HOUR:
        return ngettext("%(count)s hour", "%(count)s hours", seconds // _HOUR) % {"count": seconds // _HOUR}
    if seconds >= 2 * _MINUTE or seconds == _MINUTE:
        return ngettext("%(count)s minute", "%(count)s minutes", seconds // _MINUTE) % {"count": seconds // _MINUTE}
    return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}


@register.filter
def minus(count: int, less: int) -> int:
    """Subtract."""
    return count - less


@register.filter
def uses_in_words(uses: list[str]) -> str:
    """Write the uses of a license as people do; `commercial` is said by the terms, not here."""
    return uses_in_brief((use for use in Use if use.value in uses), translation)


@register.filter
def cid_of(digest: str) -> str:
    """Return the raw CIDv1 of a document by its SHA-256: what its digest on chain leads to in IPFS."""
    return str(Cid.of_digest(Sha256.from_hex(digest)))


@register.filter
def signed_money(units: int, token: str = "") -> str:
    """Write what came with a plus and what went with a minus sign."""
    return f"{'−' if units < 0 else '+'}{money(abs(units), token)}"


@register.filter
def percent_typed(bps: int) -> str:
    """Write basis points as a person types them: `12.5`."""
    return percent(bps).removesuffix(" %")


@register.filter
def seconds_ago(seconds: str) -> str:
    """Write an age as people do."""
    return hours(int(seconds))


@register.filter
def use_word(use: str) -> str:
    """Write one use as people do."""
    return use_in_words(Use(use), translation)


@register.filter
def unit_in_words(unit: RateUnit) -> str:
    """Write the unit of a rate behind a price: `per 1,000 records`."""
    return rate_unit_in_words(unit, translation)


COLUMN_WORDS = {
    "Int": _("whole number"),
    "UInt": _("whole number"),
    "Float": _("number"),
    "Decimal": _("number"),
    "String": _("text"),
    "Boolean": _("yes or no"),
    "Date": _("date"),
    "Time": _("time"),
    "Duration": _("duration"),
}


@register.filter
def column_in_words(kind: str) -> str:
    """Write the type of a table's column as people do: `Int64` is a whole number."""
    name = re.match("[A-Za-z]+", kind)
    return next((str(words) for start, words in COLUMN_WORDS.items() if name and name[0].startswith(start)), kind)


VOUCHER_WORDS = {
    "unfunded": _("waits for your balance"),
    "wanted": _("being signed"),
    "signed": _("being paid"),
    "depositing": _("being paid"),
    "charging": _("being paid"),
    "charged": _("paid"),
    "recorded": _("nothing to pay"),
    "superseded": _("part of a later one"),
    "failed": _("could not be paid yet"),
}


@register.filter
def in_words(label: object) -> str:
    """Write the label of a model's choice in the reader's language (`web.labels`)."""
    return gettext(str(label))


@register.filter
def voucher_in_words(state: str) -> str:
    """Say where the payment for reported use stands."""
    return str(VOUCHER_WORDS.get(state, state))
