"""What is written for people and for CI: Markdown, JUnit, a picture. Names come from strangers."""

import struct
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from ckptedit.drift import Drift, Limit, Rules, judge
from ckptedit.drift.junit import as_junit
from ckptedit.drift.markdown import CUT, LIMIT, as_markdown, code
from ckptedit.drift.plot import as_png

HOSTILE = "a|b`c\x1b[31m\n<script>&\"'].weight"


def written(report, rules=None, **also):
    rules = rules or Rules()
    return as_markdown(Drift(report, judge(report, rules), rules), **also)


@pytest.fixture
def hostile(diff_of):
    return diff_of({HOSTILE: torch.zeros(2)}, {HOSTILE: torch.ones(2)})


def test_junit_has_one_case_for_each_rule(diff_of):
    report = diff_of({"a": torch.ones(2), "b": torch.ones(1)}, {"a": torch.ones(2) * 2})
    judgement = judge(report, Rules(limits=[Limit("a", 0.1)]))
    (suite,) = ElementTree.fromstring(as_junit(report, judgement))
    assert int(suite.get("tests")) == len(judgement.outcomes) == len(suite)
    failed = {case.get("name"): case[0] for case in suite if len(case)}
    assert int(suite.get("failures")) == 2
    assert failed["no tensor is removed"].text == "b"
    assert failed["relative of each a <= 0.1"].get("message") == "measured 1"


def test_junit_escapes_names(hostile):
    (suite,) = ElementTree.fromstring(as_junit(hostile, judge(hostile, Rules())))
    (text,) = [case[0].text for case in suite if len(case)]
    assert "\n" not in text and "\x1b" not in text
    assert "<script>&" in text


def test_markdown_shows_verdict_totals_and_movers(diff_of):
    old = {"far": torch.ones(4), "near": torch.ones(4), "still": torch.ones(4)}
    report = diff_of(old, old | {"far": torch.ones(4) * 3, "near": torch.ones(4) * 1.5})
    text = written(report)
    assert text.startswith("## ❌ The checkpoints differ\n")
    assert "2 of 3 tensors changed, 8 of 12 values." in text
    assert text.index("| `far` |") < text.index("| `near` |")
    assert "`still`" not in text


def test_markdown_keeps_every_row_of_a_table_whole(hostile):
    text = written(hostile, Rules(limits=[Limit("a**", 0.1)]))
    assert "\x1b" not in text
    for line in text.splitlines():
        if line.startswith("|"):
            bars = line.replace("\\|", "").count("|")
            assert bars in (5, 7, 8, 10), line


@pytest.mark.parametrize("name", ["plain", "`", "``", "a`b``c", "|", " ", ""])
def test_a_code_span_cannot_be_left(name):
    span = code(name)
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]


def test_markdown_fits_a_comment_whatever_the_model(diff_of):
    old = {f"layer.{i}." + "x" * 180: torch.zeros(1) for i in range(600)}
    report = diff_of(old, {name: torch.ones(1) for name in old})
    for top in (20, 600):
        assert len(written(report, top=top)) <= LIMIT


def test_markdown_that_fits_by_no_means_is_cut_between_lines(diff_of):
    old = {f"layer.{i}." + "x" * 700: torch.zeros(1) for i in range(20)}
    report = diff_of(old, {name: torch.ones(1) for name in old})
    rules = Rules(limits=[Limit("layer.**", i / 100) for i in range(60)])
    text = written(report, rules)
    assert len(text) <= LIMIT and text.endswith(CUT)
    assert all(line.endswith("|") for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("change", [0.0, 0.5, float("nan")])
def test_the_plot_is_a_picture_whatever_changed(diff_of, change):
    pytest.importorskip("matplotlib")
    names = [f"model.diffusion_model.input_blocks.{i}.1.x.attn2.to_k.weight" for i in range(4)]
    old = {name: torch.ones(4) for name in names} | {"vae.decoder.x": torch.ones(1)}
    png = as_png(diff_of(old, old | {names[1]: torch.ones(4) + change}))
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert width == 1500 and height > 400


def test_the_same_report_draws_the_same_bytes(diff_of):
    pytest.importorskip("matplotlib")
    report = diff_of({"w": torch.ones(4)}, {"w": torch.zeros(4)})
    assert as_png(report) == as_png(report)
