"""Nothing that a record, a file or its name says acts on a page: it is read as it was written."""

import ast
import json

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from pipeline import REPOSITORY
from torch.nn import Identity

from matlib.ablations import row_config
from matlib.config import RunConfig
from matlib.errors import MatlibError
from matlib.report import captions, chapters, figures, options, tables
from matlib.report.figures.parts import _as_script
from matlib.report.step import read_step
from matlib.report.text import code, plain, run_words, without_docstrings
from matlib.runs.records import read_record, write_record

NOTEBOOKS = sorted((REPOSITORY / "book").glob("*.ipynb"))
HOSTILE = ["<script>alert(1)</script>", "</code><img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "`a` `` b",
           "a|b|c", "$\\frac{a}$ and \\(b\\)", "# a title", "- a point", "1. first", "**bold** _thin_ ~~gone~~",
           "<https://a.example>", "https://a.example www.a.example a@b.example", "&lt;b&gt; &#60;",
           "a\n\n<b>b</b>\n\n    c",
           "![x](y)", "[a]: javascript:b", "```\na\n```", "\\", "*", "\u2028\x00", "<!-- ", "\udcff"]


def rendered(text, preset):
    return BeautifulSoup(MarkdownIt(preset, {"html": True}).render(text), "html.parser")


def as_read(text):
    return " ".join(text.encode(errors="backslashreplace").decode().replace("\0", "\ufffd").split())


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("preset", ["commonmark", "gfm-like"])
def test_a_page_shows_what_was_written_and_does_nothing(hostile, preset):
    if preset == "gfm-like":
        pytest.importorskip("linkify_it")
    for helper, tags in ((plain, []), (code, ["code"])):
        for text, before in ((helper(hostile), ""), (f"A run: {helper(hostile)}", "A run: ")):
            page = rendered(text, preset)
            assert [tag.name for tag in page.find_all(True)] == ["p", *tags] and not page.p.attrs
            assert page.get_text().strip() == f"{before}{as_read(hostile)}".strip()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_the_library_writes_for_pages_holds_nothing_that_acts(hostile):
    named = RunConfig.from_dict(row_config("full", "smoke").to_dict() | {"name": hostile, "profile": hostile})
    named = named.change({"data.root": hostile})
    for words in (run_words(named), *(chapters.Network(Identity(), Identity(), named, trained).words.data
                                      for trained in (True, False))):
        page = rendered(words, "commonmark")
        assert {tag.name for tag in page.find_all(True)} <= {"p", "code", "strong"}
        assert [tag.get_text() for tag in page.find_all("code")] == [as_read(hostile)] * 2
    frame = pd.DataFrame([[hostile]], columns=[hostile], index=[hostile])
    table = BeautifulSoup(captions.table(frame, "tab-hostile", "A.", hostile).html, "html.parser")
    assert not table.find_all(["script", "img", "b", "a", "code", "strong"])


def test_a_string_in_a_script_does_not_end_it():
    texts = ["</script><script>alert(1)", 'a"b\\', "x\ny"]
    assert "<" not in _as_script(texts) and json.loads(_as_script(texts)) == texts


def test_the_tables_of_options_hold_their_own_tags_alone():
    for chapter in {option.chapter for option in options.OPTIONS}:
        page = BeautifulSoup(options.html_table(chapter), "html.parser")
        assert {tag.name for tag in page.find_all(True)} <= {"table", "thead", "tbody", "tr", "th", "td", "code", "b"}


def test_names_in_a_record_are_no_formulas_in_its_figures():
    for name in ("$\\frac{a}$", "$", "a$b$"):
        entries = [{"epoch": epoch, "gradient_norm": 1.0, "losses": {name: 1.0}, "diagnostics": {name: 1.0},
                    "gradient_norms": {name: 1.0}} for epoch in (1, 2)]
        for figure in (figures.losses({"history": entries}), figures.diagnostics({"history": entries}),
                       figures.gradient_norms({"history": entries}), figures.step_shares({"shares": {name: 1.0}})):
            figure.canvas.draw()
            plt.close(figure)


#: What shows text as a page's own.
PAGES = ("Markdown", "HTML", "Latex", "SVG")
#: Calls that make text for a page out of whatever they are given.
SAFE = {"plain", "code", "run_words", "figures.figure2_linked", "pictures.part_viewer", "options.html_table"}


def is_safe(node):
    """Whether an expression can put onto a page nothing but the notebook's own words, numbers, and escaped text."""
    match node:
        case ast.Constant():
            return True
        case ast.JoinedStr():
            return all(map(is_safe, node.values))
        case ast.FormattedValue(format_spec=ast.JoinedStr(values=[ast.Constant(value)])):
            return value[-1] in "dfg%,"  # of a number: text has no such format
        case ast.FormattedValue():
            return is_safe(node.value)
        case ast.BinOp(op=ast.Add()):
            return is_safe(node.left) and is_safe(node.right)
        case ast.IfExp():
            return is_safe(node.body) and is_safe(node.orelse)
        case ast.BoolOp():
            return all(map(is_safe, node.values))
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[ast.GeneratorExp() as each]):
            return is_safe(each.elt)
        case ast.Call():
            return ast.unparse(node.func) in SAFE
    return False


@pytest.mark.parametrize(("expression", "safe"), [
    ("'a'", True), ("f'{x}'", False), ("f'{plain(x)} {y:.1f} {z:+.2f} {n:,d}'", True), ("f'{x!r}'", False),
    ("f'{x:10}'", False), ("f'{x:>{y}}'", False), ("x", False), ("'a' + x", False), ("'; '.join(x)", False),
    ("'; '.join(code(y) for y in x) if x else 'none'", True), ("'; '.join(y for y in x)", False), ("str(x)", False),
    ("plain(x) or x", False), ("'%s' % x", False), ("record['a']", False), ("f'{a if b else plain(c)}'", False)])
def test_what_is_safe(expression, safe):
    assert is_safe(ast.parse(expression, mode="eval").body) == safe


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_puts_no_unescaped_text_onto_its_page(notebook):
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in PAGES:
                assert node.args and all(map(is_safe, node.args)), ast.unparse(node)
            assert not (isinstance(node, ast.Constant) and node.value == "text/html"), cell.source


@pytest.mark.parametrize("change", [
    {"run": {}}, {"run": None}, {"shares": {}}, {"shares": {"a": "b"}}, {"shares": []}, {"images": "8"},
    {"second_pass": None}, {"config": {}}, {"run": {"commit": 1, "date": "", "hardware": ""}}])
def test_a_file_of_a_step_that_is_none_is_told(tmp_path, change):
    sound = json.loads((REPOSITORY / "book" / "records" / "step.json").read_text())
    path = tmp_path / "step.json"
    path.write_text(json.dumps(sound))
    assert read_step(path) == sound
    path.write_text(json.dumps(sound | change))
    with pytest.raises(MatlibError, match="step.json is not a file of a step's times; write it anew with"):
        read_step(path)


@pytest.mark.parametrize("field", ["data", "data.name", "data.fingerprint", "tested.name", "tested.fingerprint"])
@pytest.mark.parametrize("lost", ["missing", None, 5])
def test_a_record_without_its_data_is_told_whoever_reads_it(tmp_path, field, lost):
    data = {"name": "d", "fingerprint": "f"}
    content = {"config": row_config("full", "smoke").to_dict(), "data": data, "tested": dict(data), "metrics": {},
               "seconds": {}, "history": []}
    write_record(tmp_path, content)
    read_record(tmp_path)
    section, _, key = field.partition(".")
    inner, key = (content[section], key) if key else (content, section)
    inner.pop(key) if lost == "missing" else inner.update({key: lost})
    path = write_record(tmp_path, content)
    with pytest.raises(MatlibError, match=f"{path} is not a run's record; .*{field}"):
        tables.load_scores([tmp_path])


@pytest.mark.parametrize("again", [
    {}, {"formatter": {"other": "{:.0f}"}}, {"precision": 1, "na_rep": ""}, {"escape": None},
    {"formatter": "{}"}, {"formatter": "{}", "subset": ["name"]}])
def test_a_table_that_is_formatted_again_still_shows_a_name_as_it_was_written(again):
    hostile = "<script>alert(1)</script>"
    shown = tables.show(pd.DataFrame({"name": [hostile], "other": [1.5]})).format(**again)
    table = BeautifulSoup(shown.to_html(), "html.parser")
    assert not table.find_all("script") and table.find("td").get_text() == hostile


def test_a_formatter_of_ones_own_may_write_html():
    shown = tables.show(pd.DataFrame({"name": ["a"]})).format({"name": {"a": "<i>b</i>"}.get})
    assert BeautifulSoup(shown.to_html(), "html.parser").td.i.get_text() == "b"


def test_code_without_docstrings_is_the_same_code():
    for path in sorted((REPOSITORY / "matlib").rglob("*.py")):
        text = path.read_text()
        left = without_docstrings(text)
        shown, whole = ([ast.dump(node) for node in _bare(ast.parse(code))] for code in (left, text))
        assert shown == whole
        assert all(line in left for line in text.splitlines() if line.lstrip().startswith("#"))


def _bare(tree):
    """All statements but docstrings, without what they hold."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for place, each in enumerate(body if isinstance(body, list) else []):
            words = isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
            if not (place == 0 and words) and not hasattr(each, "body"):
                yield each


def test_a_docstring_beside_code_stays():
    assert without_docstrings("def f(): 'words'\n") == "def f(): 'words'\n"
    assert without_docstrings("    def f():\n        r'words'\n\n        return 1  # why\n") == (
        "    def f():\n        return 1  # why\n")
    assert without_docstrings("text = 'words'\n") == "text = 'words'\n"
