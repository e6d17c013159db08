"""Lists of requests: what they say, and what is refused in one line that names the place."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from ckptedit.continual.requests import OPTIONS, read_requests, standing
from ckptedit.errors import BadParam

WHOLE = """
[defaults]
method = "uce"
retain = "Monet"
[[request]]
concept = "Van  Gogh"
aliases = ["Vincent", "Gogh"]
kind = "style"
anchor = "photo"
[[request]]
concepts = ["Cat", "Dog"]
params = {erase = 2.0}
[[request]]
withdraw = "van-gogh"
[[request]]
concept = "Van Gogh"
[eval]
steps = 4
"""


def written(folder: Path, text: str, name: str = "list.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_list_has_defaults_requests_and_how_to_score(tmp_path):
    found = read_requests(written(tmp_path, WHOLE))
    first, second, back, again = found.entries
    assert first.names == ("Van Gogh", "Vincent", "Gogh") and first.number == 1
    assert first.options == {"kind": "style", "anchor": "photo"}
    assert second.names == ("Cat", "Dog") and second.options == {"params": {"erase": 2.0}}
    assert back.withdraw == ("van-gogh",) and not back.names and again.names == ("Van Gogh",)
    assert found.defaults == {"method": "uce", "retain": ["Monet"]}
    assert found.evaluation == {"steps": 4}


def test_what_is_withdrawn_goes_with_its_aliases_and_can_be_asked_for_again(tmp_path):
    entries = read_requests(written(tmp_path, WHOLE)).entries
    names = [[name for each in standing(entries[:n]) for name in each.names] for n in range(5)]
    assert names == [
        [],
        ["Van Gogh", "Vincent", "Gogh"],
        ["Van Gogh", "Vincent", "Gogh", "Cat", "Dog"],
        ["Cat", "Dog"],
        ["Cat", "Dog", "Van Gogh"],
    ]
    numbers = [each.number for each in standing(entries)]
    assert numbers == [2, 4]


def test_of_several_concepts_one_can_be_withdrawn(tmp_path):
    text = '[[request]]\nconcepts = ["Cat", "Dog"]\n[[request]]\nwithdraw = "Cat"\n'
    (left,) = standing(read_requests(written(tmp_path, text)).entries)
    assert left.concepts == ("Dog",) and left.number == 1


def test_a_takedown_list_is_a_csv(tmp_path):
    text = 'concept, aliases, kind, withdraw\nVan Gogh, Vincent; Gogh, style\n"Ai, Weiwei",,\n\n'
    text += ",,,Van Gogh\n"
    entries = read_requests(written(tmp_path, text, "list.csv")).entries
    assert [each.names for each in entries] == [
        ("Van Gogh", "Vincent", "Gogh"),
        ("Ai, Weiwei",),
        (),
    ]
    assert entries[0].options == {"kind": "style"} and entries[2].withdraw == ("Van Gogh",)
    assert [each.number for each in entries] == [1, 2, 3]


def test_a_cell_of_a_csv_may_run_over_lines(tmp_path):
    text = 'concept,kind\r\n"Van\nGogh",style\r\n'
    (entry,) = read_requests(written(tmp_path, text, "list.csv")).entries
    assert entry.names == ("Van Gogh",) and entry.options == {"kind": "style"}


def test_names_a_line_are_a_list(tmp_path):
    entries = read_requests(
        written(tmp_path, "# ours\nNeon\n\nVan Gogh  # late\n", "a.txt")
    ).entries
    assert [each.names for each in entries] == [("Neon",), ("Van Gogh",)]


CAT = '[[request]]\nconcept = "Cat"\n'
WRONG = {
    "holds no requests": "[defaults]\n",
    "is no TOML": "[[request]\n",
    "unknown table requests": "[[requests]]\n",
    "request 1 has an unknown key concpt": '[[request]]\nconcpt = "Cat"\n',
    "[defaults] has an unknown key stepz": f"[defaults]\nstepz = 3\n{CAT}",
    "request 2 (cat): 'cat' is asked for already by request 1": CAT + CAT.lower(),
    "'Cats' is asked for twice": '[[request]]\nconcepts = ["Cats", "Cats"]\n',
    "'cat' is asked for twice": CAT + 'aliases = ["cat"]\n',
    "'Dog' is withdrawn, but nothing asks for it": f'{CAT}[[request]]\nwithdraw = "Dog"\n',
    "'Cat' is withdrawn, but nothing": f'{CAT}[[request]]\nwithdraw = "Cat"\n' * 1
    + '[[request]]\nwithdraw = "Cat"\n',
    "'Tom' is an alias in request 1; withdraw 'Cat'": (
        f'{CAT}aliases = "Tom"\n[[request]]\nwithdraw = "Tom"\n'
    ),
    "must name a concept to erase, or one to withdraw": '[[request]]\nkind = "style"\n',
    "and not both": f'{CAT}withdraw = "Dog"\n',
    "has both concept and concepts": f'{CAT}concepts = ["Dog"]\n',
    "aliases, which go with one concept; it has 2": (
        '[[request]]\nconcepts = ["Cat", "Dog"]\naliases = ["Tom"]\n'
    ),
    "withdraws, and has no use for kind": f'{CAT}[[request]]\nwithdraw = "Cat"\nkind = "style"\n',
    "steps must be a whole number, not many": f'{CAT}steps = "many"\n',
    "steps must be a whole number, not True": f"{CAT}steps = true\n",
    "retain must be a text, or a list of texts": f"{CAT}retain = [3]\n",
    "concept must be a text": "[[request]]\nconcept = 3\n",
    "concept holds an empty name": '[[request]]\nconcept = ""\n',
    "requests are tables": 'request = "Cat"\n',
    "defaults is a table": f"defaults = 3\n{CAT}",
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_wrong_is_named_with_its_file_and_request(tmp_path, said):
    with pytest.raises(BadParam) as caught:
        read_requests(written(tmp_path, WRONG[said]))
    assert said in str(caught.value) and "list.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("concept,colour\nCat,red\n", "line 1 has an unknown column colour"),
        ("concept\nCat,red\n", "line 2 has more cells"),
        ("concept\nCat\nCat\n", "line 3: 'Cat' is asked for already by request 1"),
        ('concept\n"Cat\n', "is no CSV"),
    ],
)
def test_what_is_wrong_in_a_csv_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(BadParam, match=said):
        read_requests(written(tmp_path, text, "list.csv"))


def test_every_option_of_a_request_is_one_of_erase():
    from ckptedit.erasure.erase import erase

    assert set(OPTIONS) <= set(inspect.signature(erase).parameters)


def test_lists_are_read_without_torch():
    code = "import sys, ckptedit.continual.requests; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
