"""MACE's refinement: sentences, token by token, against all that is said."""

import numpy as np
from textbook import dense, request, weights

from ckptedit.concepts.templates import prompts_for
from ckptedit.erasure.closed_forms.mace import MACE


def moments(words, name, anchor, others):
    """The means over all places from the name on of e eᵀ and e* eᵀ, one place at a time."""
    square, product, count = 0.0, 0.0, 0
    encoder = words.encoder
    asked = [*prompts_for(name, "style", others), *prompts_for(name, "style")]
    instead = [*prompts_for(anchor, "style", others), *prompts_for(anchor, "style")]
    longer = len(encoder.tokens(name)) - len(encoder.tokens(anchor))
    mine, theirs = (words.prompts(each).double().numpy() for each in (asked, instead))
    for row, prompt in enumerate(asked):
        first = encoder.positions(prompt, name)[0]
        for place in range(first, encoder.max_length):
            e, twin = mine[row, place], theirs[row, max(first, place - longer)]
            square, product = square + np.outer(e, e), product + np.outer(twin, e)
            count += 1
    return square / count, product / count


def test_it_is_the_normal_equation_over_paired_tokens(words):
    asked, given = request("van gogh", earlier=()), weights()
    square, product = moments(words, "van gogh", "photo", ("cat", "dog", "tree"))
    solution = MACE(erase=2.0, preserve=0.0, ridge=0.3, general=0.7).solve(asked, words, given)
    more = 0.7 * words.general().numpy() + 0.3 * np.eye(len(square))
    for name, weight in given.items():
        w = weight.double().numpy()
        wanted = (2 * w @ product + w @ more) @ np.linalg.inv(2 * square + more) - w
        np.testing.assert_allclose(dense(solution, name), wanted, atol=1e-6)
