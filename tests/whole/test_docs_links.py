"""The documents lead where they say: links, anchors, the README's length, the table of keys."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from core.recipe import Recipe

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
DOCUMENTS = [README, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "CHANGELOG.md", *PAGES]

_FENCED = re.compile(r"^ *(```+|~~~+).*?^ *\1[`~]* *$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]: *(\S+)", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)


def slugs(page):
    """The anchors of a page's headings, as GitHub makes them; the second of a name ends in -1."""
    found = []
    for heading in _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)  # a link's words stay
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        times = sum(1 for earlier, _ in found if earlier == slug)
        found.append((slug, f"{slug}-{times}" if times else slug))
    return {anchor for _, anchor in found}


def links(page):
    """The relative links of a page outside of code: each with the file and the anchor it names."""
    text = _CODE.sub("", _FENCED.sub("", page.read_text(encoding="utf-8")))
    for inline, defined in _LINK.findall(text):
        target = inline or defined
        if not _ELSEWHERE.match(target):
            path, _, anchor = target.partition("#")
            yield target, (page.parent / path).resolve() if path else page, anchor


def broken(page):
    """The links of a page that lead nowhere."""
    return [
        target
        for target, file, anchor in links(page)
        if not file.is_file() or (anchor and anchor not in slugs(file))
    ]


def keys(model, prefix=""):
    """Every key of a recipe with the default that the page shows."""
    for name, field in model.model_fields.items():
        if name == "datasets":  # has the keys of two other sections
            continue
        if isinstance(field.default, BaseModel):
            yield from keys(type(field.default), f"{prefix}{name}.")
        else:
            default = None if field.is_required() or field.default_factory else field.default
            yield f"{prefix}{name}", default


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page):
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n\n## What's *this* (`a/b.py`)?\n\n## One\n\n"
        "[a](page.md) [b](#one) [c](#one-1) [d](page.md#whats-this-abpy) `[e](code.md)`\n"
        "```\n[f](fenced.md)\n# Fenced\n```\n[g](https://example.org/#x)\n"
        "[h](gone.md) [i](#fenced) [j](page.md#one-2) ![k](gone.png)\n\n[l]: gone.txt\n",
        encoding="utf-8",
    )
    assert broken(page) == ["gone.md", "#fenced", "page.md#one-2", "gone.png", "gone.txt"]


def test_the_readme_is_a_page_of_at_most_150_lines():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_every_page_is_reached_from_the_readme():
    reached, to_read = set(), [README]
    while to_read:
        page = to_read.pop()
        if page not in reached:
            reached.add(page)
            to_read += [file for _, file, _ in links(page) if file.suffix == ".md"]
    assert set(PAGES) <= reached


def test_every_test_that_a_document_names_is_there():
    tests = (REPOSITORY / "tests").rglob("test_*.py")
    defined = {
        name
        for path in tests
        for name in (path.name, *re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    }
    told = {
        (page.name, name)
        for page in DOCUMENTS
        for name in re.findall(r"\btest_(?:\w+\.py|\w+_\w+_\w+)", page.read_text(encoding="utf-8"))
    }
    assert len(told) > 50
    # A long name may be cut: `test_as_long_as_…`.
    missing = {
        (page, name)
        for page, name in told
        if not any(one == name or (name[-1] == "_" and one.startswith(name)) for one in defined)
    }
    assert missing == set()


def test_the_page_on_recipes_has_every_key_and_its_default():
    page = (REPOSITORY / "docs" / "recipes.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", page, re.MULTILINE))
    for key, default in keys(Recipe):
        if default is None or default in ("", ()):
            assert shown.get(key) == "–", key
        elif isinstance(default, bool):
            assert shown.get(key) == f"`{str(default).lower()}`", key
        elif key == "dataset.findings":
            assert shown.get(key) == f"all {len(default)} findings"
        elif isinstance(default, tuple):
            assert shown.get(key) == f"`{', '.join(default)}`", key
        else:
            assert shown.get(key) == f"`{default}`", key
