"""Names from strangers, as people see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptedit.files import escape


@pytest.mark.parametrize(
    "name, shown",
    [
        ("model.diffusion_model.to_k.weight", "model.diffusion_model.to_k.weight"),
        ("façade 画像", "façade 画像"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r\t\0", "a\\nb\\r\\t\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("back\\slash", "back\\\\slash"),
        ("\udcff", "\\udcff"),
        ("'quoted'", "'quoted'"),
        ("", ""),
    ],
)
def test_what_could_steer_a_terminal_is_spelled_out(name, shown):
    assert escape(name) == shown


def test_a_very_long_name_loses_its_middle():
    assert escape("a" * 150 + "b" * 90_000 + "c" * 150) == "a" * 100 + "…" + "c" * 99


@given(st.text())
def test_everything_fits_on_one_printable_line(text):
    assert escape(text).isprintable()


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_short_names_never_look_alike(one, other):
    assert one == other or escape(one) != escape(other)
