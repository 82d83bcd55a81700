"""What people read passes through a catalog: in templates, in Python and in scripts. Here each place is searched."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
from django.apps import apps
from django.test import Client
from django.utils import translation

from marketplace.core.money import Token
from marketplace.core.presets import PRESETS, preset
from marketplace.core.sentences import sentences
from marketplace.core.terms import Rate, RateUnit
from marketplace.core.terms_in_brief import terms_in_brief
from marketplace.web.labels import LABELS
from marketplace.web.timeline import SENTENCES
from tests.marketplace_core.cast import TUSD

ROOT = Path(__file__).parents[2]
USD = Token(31337, TUSD, "TUSD", 6)
RATE = Rate(RateUnit.RECORDS_1000, price=500_000, allowance=10, minimum=1_000_000, cap=90_000_000)

NAMES = {"TEST", "Cadastre", "API", "CID", "SHA", "SPDX", "Python", "curl", "TUSD", "GB"}
"""Names, which are the same in every language."""

WORDS = re.compile(r"[A-Za-z]{2,}")
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z]{2,}")
TAG = re.compile(r"{%.*?%}|{{.*?}}")
CATALOG = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext"}

FOR_MACHINES = {"private.py", "structured_data.py", "rsl.py", "spreadsheet.py"}
PAGES = [
    *(path for path in sorted((ROOT / "marketplace" / "web").glob("*.py")) if path.name not in FOR_MACHINES),
    *sorted((ROOT / "marketplace" / "templatetags").glob("*.py")),
    *(ROOT / "marketplace" / "core" / name for name in ("sentences.py", "terms_in_brief.py", "presets.py")),
    *(ROOT / "marketplace" / "queries" / name for name in ("account_statements.py", "earnings.py", "orders.py",
                                                           "worked_example.py")),
]  # fmt: skip
SCRIPTS = sorted((ROOT / "static" / "js").glob("*.js"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
NOT_READ = {"content_type", "headers", "text", "title", "attribution"}
"""Keyword arguments whose words are no page's: HTTP headers, and legal texts, which prevail as they were written."""
KEPT = {"_CLOSING", "CSV_HEAD", "NO_REASON"}
"""Constants that go into documents, files and the log, which have one language."""


def untranslated_in_template(source: str) -> list[str]:
    """Return the words of a template that no `translate` tag has."""
    source = re.sub(r"{% (blocktranslate|comment)\b.*?{% end\1 %}", " ", source, flags=re.DOTALL)
    source = re.sub(r"<(pre|code|script|style)\b.*?</\1>", " ", source, flags=re.DOTALL)
    tags = [re.sub(r'_\("[^"]*"\)', "", tag) for tag in TAG.findall(source)]
    literals = [text for tag in tags for text in re.findall(r'{% (?:mono|parcel) .*"(.+)"|\|default:"(.+)"', tag)]
    source = re.sub(r"{%.*?%}|{{.*?}}|{#.*?#}", " ", source, flags=re.DOTALL)
    texts = re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', source)
    texts += [re.sub(r"<[^>]*>", " ", source), *(text for pair in literals for text in pair)]
    texts = [re.sub(r"&\w+;", " ", text) for text in texts]
    return [word for text in texts for word in WORDS.findall(text) if word not in NAMES]


def untranslated_in_python(source: str) -> list[str]:
    """Return the sentences of a module that are no messages of a catalog, no documentation and no refusal."""
    tree = ast.parse(source)
    fine: set[int] = set()
    for node in ast.walk(tree):
        if (isinstance(node, ast.Call) and _is_message(node)) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            fine |= {id(each) for each in ast.walk(node)}
        if (isinstance(node, ast.keyword) and node.arg in NOT_READ) or (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in KEPT
        ):
            fine |= {id(each) for each in ast.walk(node)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in fine
        if SENTENCE.search(re.sub(r"<[^>]*>", "", node.value))
    ]


def _is_message(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in CATALOG or name.endswith("Refusal") or name == "assert_never"


def untranslated_in_script(source: str) -> list[str]:
    """Return the sentences of a script that are no messages of a catalog."""
    source = re.sub(r"/\*.*?\*/|^\s*//[^\n]*", "", source, flags=re.DOTALL | re.MULTILINE)
    source = re.sub(r"\bimport [^\n]*", "", source)
    source = re.sub(r'n?gettext\("[^"]*"(?:, "[^"]*")?', "gettext(", source)
    found = [match.group(0) for match in re.finditer(r'"[^"\n]*"|`[^`]*`', source)]
    return [text for text in found if SENTENCE.search(re.sub(r"<[^>]*>?|\$\{[^}]*\}", "", text)) and not _is_code(text)]


def _is_code(text: str) -> bool:
    """Whether it is a drawing, a style, a media query, a key file, or the mark's label that Python writes too."""
    return text.startswith(("`# created", '"(prefers', "`<", '"<', "' stroke", '"Inter', '"parcel mark"'))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_word_of_a_template_is_a_message(path):
    assert untranslated_in_template(path.read_text()) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_that_python_puts_on_a_page_is_a_message(path):
    assert untranslated_in_python(path.read_text()) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_sentence_of_a_script_is_a_message(path):
    assert untranslated_in_script(path.read_text()) == []


def test_a_string_that_no_catalog_has_is_found():
    assert untranslated_in_template('<p>Pay now</p><a aria-label="Close">{% translate "Fine" %}</a>') == [
        "Close", "Pay", "now",
    ]  # fmt: skip
    assert untranslated_in_python('say(f"{name} has paid")\nsay(_("It is paid"))') == [" has paid"]
    assert untranslated_in_script('say("It is paid"); say(`${name} has paid`); say(gettext("All is paid"));') == [
        '"It is paid"', "`${name} has paid`",
    ]  # fmt: skip


class Bracketed:
    """A language that shows what went through its catalog."""

    def gettext(self, message: str) -> str:
        """Return the message in brackets."""
        return f"⟦{message}⟧"

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Return the form for `number` in brackets."""
        return f"⟦{singular if number == 1 else plural}⟧"


def outside_of_brackets(text: str) -> str:
    """Return what no message says, innermost brackets first."""
    while (shorter := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = shorter
    return text


@pytest.mark.parametrize("key", PRESETS)
@pytest.mark.parametrize("rate", [None, RATE], ids=["once", "metered"])
def test_terms_are_said_in_the_language_that_is_asked_for(key, rate):
    terms = replace(preset(key).terms, rate=rate, report_use=True)
    said = [*sentences(terms, USD, Bracketed()), *(phrase.text for phrase in terms_in_brief(terms, Bracketed()))]
    assert said
    assert not WORDS.findall(outside_of_brackets("".join(said)))
    assert not any("⟦" in sentence for sentence in sentences(terms, USD))


def test_every_label_of_a_choice_that_a_page_may_show_is_a_message():
    models = [model for model in apps.get_models() if model._meta.app_label in {"marketplace", "provenance"}]
    fields = [field for model in models for field in model._meta.get_fields()]
    shown = {str(label) for field in fields for _value, label in getattr(field, "choices", None) or ()}
    assert shown == LABELS


@pytest.mark.django_db
def test_sentences_of_a_timeline_follow_the_language_of_the_reader(monkeypatch):
    bracketed = Bracketed()
    for name in ("gettext", "ngettext"):
        monkeypatch.setattr(translation._trans, name, getattr(bracketed, name), raising=False)  # Django's own door
    body = {"reason": "court-order", "entry": 3, "up_to": 7, "role": "log", "ground": "breach", "version": 1,
            "kind": "sealed", "records": "12", "algorithm": "cadastre.image/2", "bases": ["own-work"],
            "compared": "2", "result": "none", "parents": [], "manifest": "ab" * 32, "state": "listed", "uses": [],
            "price": "0", "token": "", "unit": "run", "quantity": "1", "epoch": 1, "cumulative": "0",
            "amount": "0"}  # fmt: skip
    silent = {kind for kind, say in SENTENCES.items() if "⟦" not in str(say(body, None))}
    assert silent == set()


def test_pages_load_the_catalog_before_the_scripts_that_use_it(db):
    page = Client().get("/").content.decode()
    assert page.index('src="/words.js"') < page.index("js/site.js")
    catalog = Client().get("/words.js")
    assert catalog.headers["Content-Type"].startswith("text/javascript")
    assert "ngettext" in catalog.content.decode()
