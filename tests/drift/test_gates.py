"""Limits: what passes, what does not, and that nan passes nowhere."""

import json
import math
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ckptedit
from ckptedit.cli.output import as_json
from ckptedit.drift import Limit, Rules, judge
from ckptedit.drift.gates import MEASURES, TOTALS
from ckptedit.drift.rulefile import (
    SECTIONS,
    load_baseline,
    load_rules,
    parse_limit,
    parse_rules,
    require_report,
)
from ckptedit.errors import BadParam, CkptError, UnknownName
from ckptedit.files import Checkpoint

K, V = "unet.attn2.to_k.weight", "unet.attn2.to_v.weight"
OLD = {K: torch.tensor([3.0, 4.0]), V: torch.tensor([5.0, 12.0]), "text.w": torch.ones(2)}
NEW = OLD | {K: torch.tensor([3.0, 5.0])}  # Δ = (0, 1); relative 0.2, of all 1/14 √...


@pytest.fixture
def edited(diff_of):
    return diff_of(OLD, NEW)


def broken(judgement):
    return [outcome.rule for outcome in judgement.outcomes if not outcome.passed]


def test_without_limits_any_change_fails(edited, diff_of):
    assert judge(edited, Rules()).word == "differs"
    assert not judge(edited, Rules()).passed
    assert judge(diff_of(OLD, OLD), Rules()).word == "same"


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("relative", 1 / math.sqrt(25 + 169 + 2)),
        ("l2", 1.0),
        ("l1", 1.0),
        ("linf", 1.0),
        ("changed_fraction", 1 / 6),
        ("changed_tensors", 1),
    ],
)
def test_a_total_may_reach_its_limit_but_not_exceed_it(edited, measure, value):
    assert judge(edited, Rules(total={measure: value * (1 + 1e-9)})).word == "within"
    assert judge(edited, Rules(total={measure: value * (1 - 1e-9)})).word == "exceeded"


def test_the_cosine_has_a_lower_limit(edited):
    value = edited.total.figures.cosine
    assert judge(edited, Rules(total={"cosine": value})).passed
    assert not judge(edited, Rules(total={"cosine": value + 1e-6})).passed


def test_a_limit_binds_each_tensor_that_its_pattern_picks(edited):
    assert judge(edited, Rules(limits=[Limit("text.**", 0)])).passed
    judgement = judge(edited, Rules(limits=[Limit("unet.**", 0.19)]))
    (outcome,) = [outcome for outcome in judgement.outcomes if not outcome.passed]
    assert outcome.tensors == (K,)
    assert outcome.measured == pytest.approx(0.2)
    assert judge(edited, Rules(limits=[Limit("unet.**", 0.2001)])).passed


def test_only_what_is_allowed_may_change(edited, diff_of):
    assert judge(edited, Rules(allow=["**.to_[kv].weight"])).word == "within"
    assert judge(edited, Rules(allow=["**.to_v.weight"])).word == "exceeded"
    signs = diff_of(
        {"a": torch.zeros(1), "b": torch.ones(1)}, {"a": -torch.zeros(1), "b": torch.ones(1)}
    )
    assert not judge(signs, Rules(allow=["b"])).passed, "not by a bit"


@pytest.mark.parametrize(
    ("kind", "new"),
    [
        ("added", OLD | {"extra": torch.ones(1)}),
        ("removed", {K: OLD[K], V: OLD[V]}),
        ("reshaped", OLD | {K: OLD[K].reshape(2, 1)}),
        ("retyped", OLD | {K: OLD[K].double()}),
    ],
)
def test_a_change_of_structure_fails_under_any_limits_unless_ignored(diff_of, kind, new):
    report = diff_of(OLD, new)
    for rules in (Rules(), Rules(total={"relative": 9.0}), Rules(allow=["**.to_k.weight"])):
        assert broken(judge(report, rules)) == [f"no tensor is {kind}"]
    assert judge(report, Rules(ignore=[kind])).word == "within"


def test_ignoring_a_change_of_dtype_does_not_ignore_a_change_of_values(diff_of):
    report = diff_of(OLD, OLD | {K: NEW[K].double()})
    assert not judge(report, Rules(ignore=["retyped"])).passed


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("old", [OLD, OLD | {K: torch.tensor([3.0, math.nan])}])
def test_nan_passes_no_limit_at_all(diff_of, measure, old):
    report = diff_of(old, OLD | {K: torch.tensor([3.0, math.nan])})
    loosest = -1.0 if measure == "cosine" else 1e30
    every = Rules(
        total={measure: loosest},
        limits=[Limit("**", loosest, measure)],
        allow=["**"],
        ignore=["added", "removed", "reshaped", "retyped"],
    )
    assert not judge(report, every).passed
    assert "no value is NaN or infinite" in broken(judge(report, every))


FINITE = "no value is NaN or infinite"
NAN = torch.tensor([1.0, math.nan])
ALL_KINDS = ["added", "removed", "reshaped", "retyped"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"x": NAN}),
        ({"x": NAN}, {}),
        ({"x": torch.ones(2, 1)}, {"x": NAN}),
        ({"x": NAN}, {"x": torch.ones(2, 1)}),
        ({"x": NAN.to(torch.complex64)}, {"x": NAN.to(torch.complex64)}),
        ({"x": NAN}, {"x": NAN.to(torch.complex64)}),
        ({"x": torch.ones(2)}, {"x": NAN.to(torch.complex64)}),
    ],
    ids=["added", "removed", "reshaped", "was reshaped", "complex", "retyped", "new complex"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_nan_is_found_in_what_could_not_be_compared(diff_of, old, new, threads):
    report = diff_of(OLD | old, OLD | new, threads=threads)
    judgement = judge(report, Rules(allow=["**"], ignore=ALL_KINDS))
    assert broken(judgement) == [FINITE]
    (outcome,) = [outcome for outcome in judgement.outcomes if not outcome.passed]
    assert outcome.tensors == ("x",)
    assert report.as_dict()["nonfinite"] == ["x"]


def test_what_was_left_out_is_said_to_be(diff_of):
    report = diff_of(OLD | {"x": NAN}, OLD | {"x": NAN * 1, "y": NAN * 2}, keys=["!?"])
    judgement = judge(report, Rules(total={"l2": 0.0}))
    assert [outcome.rule for outcome in judgement.outcomes][-2:] == [
        f"{FINITE}, but for 2 tensors left out",
        "l2 of the tensors compared <= 0",
    ]
    assert judgement.passed and report.as_dict()["counts"]["left_out"] == 2


def test_a_limit_on_a_nan_figure_is_broken_and_says_so(diff_of):
    report = diff_of(OLD, OLD | {K: torch.tensor([3.0, math.nan])})
    judgement = judge(report, Rules(total={"relative": 1e30}, limits=[Limit("**.to_k.**", 1e30)]))
    measured = [v.measured for v in judgement.outcomes if v.measured is not None]
    assert len(measured) == 2
    assert all(map(math.isnan, measured))
    assert len(broken(judgement)) == 3


@pytest.mark.parametrize("rules", [Rules(allow=["x.**"]), Rules(limits=[Limit("x.**", 0)])])
def test_a_rule_whose_pattern_fits_nothing_is_an_error(edited, rules):
    with pytest.raises(UnknownName, match=r"'x.\*\*' fits none"):
        judge(edited, rules)


@pytest.mark.parametrize(
    "options",
    [
        {"total": {"speed": 1.0}},
        {"total": {"relative": -0.1}},
        {"total": {"relative": math.nan}},
        {"total": {"cosine": -1.5}},
        {"limits": [Limit("**", math.inf)]},
        {"limits": [Limit("**", 0.1, "changed_tensors")]},
        {"ignore": ["nan"]},
        {"slack": -1.0},
    ],
)
def test_a_rule_without_meaning_is_refused(options):
    with pytest.raises(BadParam):
        Rules(**options)


def baseline_of(report, tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text(as_json(report.as_dict()))
    return load_baseline(path)


def test_a_report_keeps_to_its_own_baseline(edited, tmp_path):
    baseline = baseline_of(edited, tmp_path)
    assert judge(edited, Rules(baseline=baseline)).word == "within"


def test_no_tensor_may_drift_farther_than_in_the_baseline(edited, diff_of, tmp_path):
    baseline = baseline_of(edited, tmp_path)
    farther = diff_of(OLD, OLD | {K: torch.tensor([3.0, 5.02])})
    assert not judge(farther, Rules(baseline=baseline)).passed
    assert judge(farther, Rules(baseline=baseline, slack=0.05)).passed
    other = diff_of(OLD, OLD | {V: torch.tensor([5.0, 12.1])})
    (outcome,) = [v for v in judge(other, Rules(baseline=baseline)).outcomes if not v.passed]
    assert outcome.tensors == (V,)


def test_structure_that_the_baseline_knows_is_accepted(diff_of, tmp_path):
    new = {"extra": torch.ones(1), K: OLD[K].reshape(2, 1), V: OLD[V].double()}
    report = diff_of(OLD, new)
    baseline = baseline_of(report, tmp_path)
    assert judge(report, Rules(baseline=baseline)).passed
    more = diff_of(OLD, new | {"more": torch.ones(1)})
    assert broken(judge(more, Rules(baseline=baseline))) == ["no tensor is added"]


def test_structure_that_changed_otherwise_than_in_the_baseline_is_not(diff_of, tmp_path):
    old = {"w": torch.zeros(4), "v": torch.ones(4).half()}
    baseline = baseline_of(diff_of(old, {"w": torch.zeros(5), "v": torch.ones(4)}), tmp_path)
    other = diff_of(old, {"w": torch.zeros(2, 2), "v": torch.ones(4).double()})
    found = broken(judge(other, Rules(baseline=baseline)))
    assert found == ["no tensor is reshaped", "no tensor is retyped"]


def test_a_cosine_of_what_overflows_meets_no_limit(diff_of):
    huge = torch.full((4,), 1e200, dtype=torch.float64)
    report = diff_of({"w": huge}, {"w": -huge})
    assert not judge(report, Rules(limits=[Limit("w", 0.9, "cosine")])).passed


def cut_report(**changed):
    """The least that is a report, and what is put in its place."""
    lists = {key: [] for key in ("tensors", "added", "removed", "retyped", "reshaped")}
    return json.dumps({"total": {"l2": 1.0}, **lists, **changed})


def test_the_least_that_is_a_report_is_a_baseline(tmp_path):
    (tmp_path / "report.json").write_text(cut_report())
    assert load_baseline(tmp_path / "report.json")["total"] == {"l2": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"total": {}}',
        '{"total": {"l2": "x"}}',
        cut_report(total={"l2": 1.0}).replace("1.0", "1e400"),
        cut_report(total={"l2": 1.0}).replace("1.0", "9" * 5000),
        cut_report(extra={}).replace("{}", "[" * 100_000 + "]" * 100_000),
        cut_report(added=[["x"]]),
        cut_report(tensors="abc"),
        cut_report(tensors=[{"name": "a", "l2": []}]),
    ],
    ids=lambda text: text[:40],
)
def test_a_baseline_that_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(BadParam):
        load_baseline(path)


def test_rules_come_from_a_file(tmp_path):
    path = tmp_path / "drift.toml"
    path.write_text(
        """
        keys = ["!**.position_ids"]
        ignore = ["retyped"]
        allow = ["**.attn2.**"]
        slack = 0.1
        [total]
        relative = 0.03
        changed_tensors = 32
        [[limit]]
        keys = "text.**"
        relative = 0
        linf = 0.5
        """
    )
    assert load_rules(path) == Rules(
        total={"relative": 0.03, "changed_tensors": 32.0},
        limits=[Limit("text.**", 0.0), Limit("text.**", 0.5, "linf")],
        allow=["**.attn2.**"],
        ignore=["retyped"],
        slack=0.1,
        keys=["!**.position_ids"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "total = 3",
        "totals = {relative = 0.1}",
        "[total]\nrelativ = 0.1",
        '[total]\nrelative = "0.1"',
        "[total]\nrelative = true",
        "[total]\nrelative = nan",
        "allow = '**'",
        "allow = [3]",
        "allow = []",
        "[[limit]]\nrelative = 0",
        "[[limit]]\nkeys = '**'",
        "limit = [3]",
        "slack = 'much'",
        "[total",
    ],
)
def test_a_malformed_rule_file_is_an_error_that_names_the_file(tmp_path, text):
    path = tmp_path / "drift.toml"
    path.write_text(text)
    with pytest.raises(BadParam) as error:
        load_rules(path)
    assert "drift.toml" in "".join([str(error.value), *getattr(error.value, "__notes__", [])])


@pytest.mark.parametrize(
    "text",
    [
        "[total]\nrelative = 1e400",
        "[total]\nrelative = " + "9" * 5000,
        "slack = 0x" + "f" * 5000,
        "allow = [0x" + "f" * 5000 + "]",
        "allow = " + "[" * 20_000 + "]" * 20_000,
        ".".join("a" * 30_000) + " = 1",
        "allow = ['re:a{99999999999}']",
        "limit = [{keys = 're:(', relative = 0}]",
        "\n".join(".".join("a" * 1000) + f".a{i} = 1" for i in range(30)),
        "# " + "x" * (1 << 18),
        "a" * 5000 + " = 1",
    ],
    ids=lambda text: text[:40],
)
def test_rules_of_any_size_and_depth_are_one_line_of_trouble(tmp_path, text):
    path = tmp_path / "drift.toml"
    path.write_text(text)
    start = time.process_time()
    with pytest.raises(BadParam) as error:
        load_rules(path)
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("path", ["/dev/zero", "."])
def test_what_is_no_file_is_neither_rules_nor_a_baseline(path):
    for load in (load_rules, load_baseline):
        with pytest.raises(BadParam, match="not a file"):
            load(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from([*SECTIONS, *TOTALS, "name", "l2", "tensors", "added"])


@given(st.dictionaries(WORDS, VALUES | st.dictionaries(WORDS, VALUES, max_size=3), max_size=4))
def test_any_table_is_rules_or_one_error(table):
    try:
        parse_rules(table)
    except CkptError as error:
        assert "\n" not in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.dictionaries(WORDS, VALUES, max_size=7))
def test_any_object_is_a_baseline_or_one_error(edited, found):
    least = json.loads(cut_report())
    try:
        require_report(least | found, "it")
        judge(edited, Rules(baseline=least | found))
    except CkptError as error:
        assert str(error) == "it is not a report of `ckptedit diff --json`"


@given(st.text() | st.text("*:=.e0159-+ninfa").map("a=".__add__))
def test_any_text_is_a_limit_or_one_error(text):
    try:
        Rules(limits=[parse_limit(text)])
    except CkptError as error:
        assert "\n" not in str(error)


def test_a_missing_rule_file_is_an_error(tmp_path):
    with pytest.raises(BadParam, match="cannot read rules"):
        load_rules(tmp_path / "none.toml")


def test_limits_are_read_from_the_command_line():
    assert parse_limit("text.**=0") == Limit("text.**", 0.0)
    assert parse_limit("**.to_k.*:linf=1e-3") == Limit("**.to_k.*", 1e-3, "linf")
    assert parse_limit("re:a=b=2") == Limit("re:a=b", 2.0)
    for text in ("text.**", "=3", "text.**=much", "text.**="):
        with pytest.raises(BadParam):
            parse_limit(text)


def test_a_report_in_json_has_the_promised_names(edited):
    report = json.loads(as_json(edited.as_dict()))
    assert report["schema_version"] == 1
    names = {"l1", "l2", "linf", "relative", "cosine", "changed_fraction"}
    assert names <= report["total"].keys()
    (tensor,) = report["tensors"]
    assert tensor["name"] == K
    assert names <= tensor.keys()
    assert tensor["l2"] == 1.0
    assert report["same"] is False
    assert (report["added"], report["removed"], report["reshaped"]) == ([], [], [])
    counts = {"compared": 3, "changed": 1, "unchanged": 2, "left_out": 0, "translated": 0}
    assert report["counts"] == counts
    assert [role["role"] for role in report["roles"] if role["changed_tensors"]] == ["k"]


def test_the_function_takes_paths_and_flat_keywords_and_returns_one_result(save):
    paths = save("old", OLD), save("new", NEW)
    assert ckptedit.diff(*paths).verdict == "differs"
    drift = ckptedit.diff(*paths, max_relative=0.5, limits="text.**=0", allow="**.to_k.weight")
    assert (drift.passed, drift.verdict, drift.total.figures.l2) == (True, "within", 1.0)
    assert [tensor.name for tensor in drift.changed] == [K]
    assert [outcome.rule for outcome in drift.outcomes if outcome.limit is not None] == [
        "relative of all tensors <= 0.5",
        "relative of each text.** <= 0",
    ]
    assert ckptedit.diff(*paths, keys=["!**.to_k.weight"]).same
    assert not ckptedit.diff(*paths, max_l2=0.5).passed
    assert not ckptedit.diff(*paths, max_abs=0.5).passed


def test_a_rule_file_and_a_baseline_are_taken_as_paths_or_as_what_was_read(save, tmp_path):
    paths = save("old", OLD), save("new", NEW)
    (tmp_path / "drift.toml").write_text("allow = ['**.to_v.weight']\n")
    report = tmp_path / "report.json"
    report.write_text(as_json(ckptedit.diff(*paths).as_dict()))
    for rules in (tmp_path / "drift.toml", str(tmp_path / "drift.toml"), Rules(allow=[V])):
        assert not ckptedit.diff(*paths, rules=rules).passed
        assert ckptedit.diff(*paths, rules=rules, allow=[K]).passed
    for baseline in (report, load_baseline(report)):
        assert ckptedit.diff(*paths, baseline=baseline).passed


def test_checkpoints_that_are_open_stay_so(save):
    with Checkpoint(save("old", OLD)) as old, Checkpoint(save("new", NEW)) as new:
        assert ckptedit.diff(old, new, max_l2=1.0).passed
        assert old.values(K).tolist() == [3.0, 4.0]
