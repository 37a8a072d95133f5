"""Every sentence has its Simplified Chinese, and what is compiled is what is written."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest
from django.urls import reverse

MESSAGES = Path(__file__).parent.parent / "locale" / "zh_Hans" / "LC_MESSAGES"


def written() -> dict[str, str]:
    """What django.po says, each plural by its singular."""
    text = (MESSAGES / "django.po").read_text().replace('"\n"', "")
    pairs = re.findall(r'^msgid "(.*)"\n(?:msgid_plural .*\n)?msgstr(?:\[0\])? "(.*)"$', text, re.MULTILINE)
    return {plain(one): plain(other) for one, other in pairs if one}


def plain(text: str) -> str:
    return text.replace(r"\"", '"').replace(r"\n", "\n")


def test_nothing_is_left_untranslated():
    assert [one for one, other in written().items() if not other] == []


def test_the_compiled_messages_are_those_that_are_written():
    with (MESSAGES / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)

    sentences = written()
    assert len(sentences) > 150
    for one, other in sentences.items():
        assert other in (compiled.gettext(one), compiled.ngettext(one, one, 1)), one


def test_every_sentence_of_the_templates_is_in_the_catalogue():
    templates = (MESSAGES.parent.parent.parent / "templates").rglob("*.html")
    used = {
        sentence
        for template in templates
        for _, sentence in re.findall(r"""\{% translate (["'])(.*?)\1""", template.read_text())
    }

    assert len(used) > 50
    assert used - set(written()) == set()


@pytest.mark.django_db
def test_a_browser_that_asks_for_chinese_gets_it(client):
    page = client.get(reverse("login"), headers={"Accept-Language": "zh-CN,zh;q=0.9"})

    assert "登录" in page.content.decode()
    assert page.headers["Content-Language"] == "zh-hans"
