"""A ledger is a graph: whatever is written is read, grows by what is new, and tells the same."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from merging.conftest import save

from ckptedit.concepts.targets import Target, erased
from ckptedit.errors import BadParam
from ckptedit.files import Checkpoint, ledger
from ckptedit.files.history import digest, flattened, references, trunk
from ckptedit.merging import merge

NAMES = ("Monet", "Cubism", "Cat", "Dog", "Neon")
TARGETS = st.sampled_from(NAMES).map(lambda n: {"concept": n, "kind": "style", "anchor": "x"})
Nested = dict[str, Any]


def erase(targets: list[Nested]) -> Nested:
    concepts = [target["concept"] for target in targets]
    return {"operation": "erase", "targets": targets, "concepts": concepts}


@st.composite
def nested_line(draw: Any, inner: Any) -> Nested:
    """An entry as version 0.1 wrote it: with the entries that it refers to inside of it."""
    lines = st.lists(inner, max_size=3)
    if draw(st.booleans()):
        return {"operation": "apply", "taken_out": draw(lines)}
    ledgers = draw(st.lists(lines, min_size=1, max_size=3))
    line: Nested = {"operation": "merge", "inputs": [{"ledger": each} for each in ledgers]}
    if draw(st.booleans()):
        line["added"] = [each for one in ledgers for each in one if draw(st.booleans())]
    if draw(st.booleans()):
        line["taken_out"] = draw(lines)
    return line


LINES = st.recursive(
    st.lists(TARGETS, min_size=1, max_size=2).map(erase), nested_line, max_leaves=8
)
LEDGERS = st.lists(LINES, max_size=4)


def standing(lines: list[Nested]) -> list[Target]:
    """What version 0.1 made of nested ledgers, to the letter."""
    found: dict[str, Target] = {}
    for line in lines:
        for undone in line.get("taken_out", []):
            for target in targets_of(undone):
                found.pop(target.concept, None)
        for target in targets_of(line):
            found[target.concept] = target
    return list(found.values())


def targets_of(line: Nested) -> list[Target]:
    if line["operation"] == "erase":
        return [Target(**target) for target in line["targets"]]
    if line["operation"] == "merge":
        inputs = [each for one in line["inputs"] for each in one["ledger"]]
        return standing(line.get("added", inputs))
    return []


def concepts(lines: list[Nested]) -> list[str]:
    """Also that of version 0.1."""
    found: list[str] = []
    for line in lines:
        gone = concepts(line.get("taken_out", []))
        found = [concept for concept in found if concept not in gone]
        for concept in line.get("concepts", []):
            if concept not in found:
                found.append(concept)
    return found


@given(LEDGERS)
def test_flattening_changes_no_answer(lines: list[Nested]) -> None:
    flat = ledger.read({ledger.KEY: json.dumps(lines)})
    assert erased(flat) == standing(lines) == erased(lines)
    assert ledger.concepts_of(flat) == concepts(lines)


@given(LEDGERS)
def test_every_entry_is_there_once_before_those_that_refer_to_it(lines: list[Nested]) -> None:
    flat = flattened(lines)
    assert flattened(flat) == flat and len(trunk(flat)) == len(lines)
    branches = [digest(line) for line in flat if line.get("branch")]
    assert len(set(branches)) == len(branches)
    for place, line in enumerate(flat):
        assert set(references(line)) <= {digest(other) for other in flat[:place]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["concepts", "retain", "taken_out", "added", "inputs", "ledger", "branch", "operation"]
)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(KEYS, JSON | LEDGERS), max_size=4))
def test_what_the_writer_accepts_the_reader_reads(lines: list[Nested]) -> None:
    try:
        metadata = ledger.replaced({}, lines)
    except BadParam as error:
        assert "\n" not in str(error)
        return
    assert ledger.replaced({}, ledger.read(metadata)) == metadata


def test_a_merge_too_deep_for_version_0_1_is_read_and_written_flat() -> None:
    line = erase([{"concept": "Cat", "kind": "style", "anchor": "x"}])
    for _ in range(51):
        line = {"operation": "merge", "inputs": [{"ledger": [line]}]}
    flat = ledger.read({ledger.KEY: json.dumps([line])})
    assert [target.concept for target in erased(flat)] == ["Cat"] and len(flat) == 52
    text = ledger.replaced({}, flat)[ledger.KEY]
    assert max(text[:place].count("[") - text[:place].count("]") for place in range(500)) < 5


def test_a_merge_is_read_long_after_the_50th_of_a_chain(tmp_path) -> None:
    """Each with the one before as its edit, so that every ledger refers to all of the last."""
    base = save(tmp_path / "base.safetensors", {"w": ("F32", [1.0, 2.0])})
    target = {"concept": "Cat", "kind": "object", "anchor": "x"}
    line = ledger.entry("erase", {}, "0", concepts=["Cat"], targets=[target])
    edit = save(tmp_path / "0.safetensors", {"w": ("F32", [1.5, 2.0])}, ledger.append({}, line))
    for number in range(1, 61):
        out = tmp_path / f"{number}.safetensors"
        edit = merge(base, [edit], out, method="task", threads=1).path
    with Checkpoint(edit) as last:
        assert len(last.ledger) == 61 and erased(last.ledger) == [Target(**target)]


def test_a_chain_of_200_grows_by_the_same_each_time() -> None:
    sizes, metadata = [], ledger.append({}, ledger.entry("erase", {}, "0", targets=[]))
    for number in range(100, 300):
        told = ledger.read(metadata)
        inputs = [{"ledger": [digest(line) for line in trunk(told)]}]
        line = ledger.entry("merge", {"number": number}, "0", inputs=inputs)
        metadata = ledger.append({}, line, told)
        sizes.append(len(metadata[ledger.KEY]))
    assert len({after - before for before, after in pairwise(sizes)}) == 1
    assert erased(ledger.read(metadata)) == []


def test_two_edits_of_one_history_again_and_again_grow_the_ledger_linearly() -> None:
    sizes, metadata = [], ledger.append({}, ledger.entry("erase", {}, "0"))
    for level in range(10, 50):
        sides = [
            ledger.append(metadata, ledger.entry("erase", {"level": level, "side": side}, "0"))
            for side in ("a", "b")
        ]
        told = [ledger.read(side) for side in sides]
        inputs = [{"ledger": [digest(line) for line in trunk(lines)]} for lines in told]
        line = ledger.entry("merge", {}, "0", inputs=inputs)
        metadata = ledger.append({}, line, [line for lines in told for line in lines])
        sizes.append(len(metadata[ledger.KEY]))
    assert len({after - before for before, after in pairwise(sizes)}) == 1
