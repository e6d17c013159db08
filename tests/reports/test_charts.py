"""Curves and the heat map, worked by hand."""

from math import inf

import pytest

from ckptedit.reports.charts import (
    CELL,
    GAP,
    HEAD,
    LABELS,
    LEGEND,
    ROW,
    color,
    curves,
    heat_map,
    nice,
)
from ckptedit.reports.heat import Heat
from ckptedit.reports.lines import Figure


def test_a_share_of_one_is_at_the_top_and_of_nothing_at_the_bottom():
    found = curves({"UA": {0: Figure(0.0), 2: Figure(1.0, (0.5, 1.0))}}, 2, top=1.0)
    (series,) = found.series
    assert [(p.x, p.y) for p in series.points] == [(44, 226), (468, 12)]
    assert series.line == "44.0,226.0 468.0,12.0"
    assert series.points[1].ends == (119, 12) and series.points[0].ends is None
    assert "95% interval 50.0% to 100.0%" in series.points[1].label
    assert [text for _, text in found.x_ticks] == ["base", "1", "2"]
    assert [text for _, text in found.y_ticks] == ["0%", "25%", "50%", "75%", "100%"]


def test_a_hundred_requests_get_no_more_numbers_than_there_is_room_for():
    found = curves({"drift": {100: Figure(0.3)}}, 100)
    assert [text for _, text in found.x_ticks][:3] == ["base", "9", "18"]
    assert len(found.x_ticks) == 12 and found.y_ticks[-1][1] == "0.4"


@pytest.mark.parametrize(
    ("value", "above"), [(0.0, 1), (0.3, 0.4), (0.5, 0.5), (1, 1), (1.1, 2), (51, 100)]
)
def test_a_scale_ends_at_a_round_number_that_is_not_below(value, above):
    assert nice(value) == pytest.approx(above)


def test_colours_run_from_the_dark_end_of_viridis_to_the_bright_one():
    assert (color(0), color(0.5), color(1)) == ("#440154", "#21918c", "#fde725")
    assert color(0.125) == "#402a70"  # half way between its first two
    assert color(-1) == color(0) and color(9) == color(1)


def test_the_map_has_a_row_for_each_block_and_a_column_for_each_role_and_request():
    cells = {("unet M00", "k", 1): 0.0, ("unet M00", "k", 3): 0.5, ("unet M00", "v", 1): 0.25,
             ("unet M00", "v", 3): inf, ("unet OUT03", "v", 3): 0.125}  # fmt: skip
    found = heat_map(Heat(("unet M00", "unet OUT03"), ("k", "v"), (1, 3), cells, {}))
    places = [(cell.x, cell.y, cell.fill) for cell in found.cells]
    right = LABELS + 2 * CELL + GAP
    assert places == [
        (LABELS, HEAD, ""),  # nothing moved
        (LABELS + CELL, HEAD, color(1)),
        (right, HEAD, color(0.5)),
        (right + CELL, HEAD, color(1)),
        (right + CELL, HEAD + ROW, color(0.25)),
    ]
    assert [cell.text for cell in found.cells] == ["0", "0.500", "0.250", "new", "0.125"]
    assert found.most == 0.5 and "OUT03, v, request 3: 0.125" in found.cells[-1].label
    assert [text for _, text in found.requests] == ["1", "3", "1", "3"]


def test_the_map_of_many_requests_is_no_wider_than_a_page():
    numbers = tuple(range(1, 61))
    cells = {("unet M00", role, n): 0.1 for role in "kv" for n in numbers}
    found = heat_map(Heat(("unet M00",), ("k", "v"), numbers, cells, {}))
    assert found.width < 900 and not any(cell.text for cell in found.cells)
    assert len(found.requests) <= 16


def test_a_narrow_map_has_room_for_its_scale():
    assert (
        heat_map(Heat(("unet M00",), ("v",), (1,), {("unet M00", "v", 1): 0.4}, {})).width == LEGEND
    )
