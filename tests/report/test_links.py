"""A number's cell leads to exactly its records, reads as the number, and lets nothing act as HTML."""

import re
from urllib.parse import unquote

import pandas as pd

from matlib.report import links, tables


def addresses(html: str) -> list[str]:
    return [unquote(name) for name in re.search(r'data-records="([^"]*)"', html)[1].split()]


def test_a_linked_cell_is_its_text_and_names_its_files_as_a_notebook_sees_them():
    cell = links.linked("64.4±1.0", ["book/records/a/seed0/record.json", "runs/my runs/seed1/record.json"])
    assert cell == "64.4±1.0"
    html = links.cell(cell)
    assert re.sub("<[^>]*>", "", html) == "64.4±1.0" and 'href="records/a/seed0/record.json"' in html
    assert addresses(html) == ["records/a/seed0/record.json", "../runs/my runs/seed1/record.json"]


def test_a_listing_has_a_link_for_each_piece_that_has_a_record():
    html = links.cell(links.listing([("full", ["runs/a/record.json"]), ("pcb", [])]))
    assert html.count("<a ") == 1 and html.endswith("</a>, pcb")


def test_nothing_in_a_text_or_a_path_acts_as_html():
    html = links.cell(links.linked("<b>1</b>", ['runs/"><script>/record.json']))
    assert "<script>" not in html and "<b>" not in html and html.count('"') == 6
    assert links.cell("<b>") == "&lt;b&gt;"


def test_cells_keep_their_records_through_a_table_and_its_printing():
    runs = pd.DataFrame({"mAP": [40.0, 50.0, float("nan")], "path": [f"book/x/{i}.json" for i in (1, 2, 3)]})
    cell = tables.mean_of(runs, "mAP")
    assert cell == "45.0±7.1"
    shown = tables.show(pd.DataFrame.from_dict({"row": {"mAP": cell, "n": 2}}, orient="index", dtype=object))
    assert addresses(shown.to_html()) == ["x/1.json", "x/2.json"]  # not the run without the number
