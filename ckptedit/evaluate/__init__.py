"""A model to scores."""

from ckptedit.evaluate.evaluate import ConceptScore, Scores, evaluate
from ckptedit.evaluate.judge import Verdict
from ckptedit.rooms import make_callable

__all__ = ["ConceptScore", "Scores", "Verdict", "evaluate"]

make_callable(__name__, "ckptedit.evaluate.evaluate:evaluate")
