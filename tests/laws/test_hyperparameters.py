"""What the hyperparameters of any method and guard must satisfy."""

import sys

import pytest

from ckptedit.erasure.options import METHODS, Options
from ckptedit.errors import BadParam
from ckptedit.guards import GUARDS
from ckptedit.params import defaults, explained, hyperparameters

OWNERS = {name: registry[name] for registry in (METHODS, GUARDS) for name in registry}


@pytest.mark.parametrize("name", OWNERS)
def test_a_method_and_a_guard_cite_their_paper_and_say_in_a_line_what_they_do(name):
    text = sys.modules[OWNERS[name].__module__].__doc__
    assert "https://arxiv.org/abs/" in text or "https://doi.org/" in text
    assert OWNERS[name].__doc__.strip()


@pytest.mark.parametrize("name", OWNERS)
def test_every_hyperparameter_has_a_default_and_a_meaning_and_numbers_have_a_range(name):
    assert defaults(OWNERS[name]).keys() == hyperparameters(OWNERS[name]).keys()
    for each in explained(OWNERS[name]):
        assert each.meaning, each.name
        assert each.choices or isinstance(each.default, str), each.name


@pytest.mark.parametrize("name", OWNERS)
def test_what_is_out_of_its_range_is_refused_by_name(name):
    for each in explained(OWNERS[name]):
        for wrong in ("-1e300", "nan", "some") if each.choices else ():
            with pytest.raises(BadParam, match=each.name):
                Options(params={name: {each.name: wrong}}).make(name)
