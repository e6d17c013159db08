import pytest

from ckptedit.concepts.lexicon import lexicon_of
from ckptedit.subspaces.words import Words


@pytest.fixture(scope="session")
def words(encoder, family) -> Words:
    return Words(encoder, lexicon_of(family))
