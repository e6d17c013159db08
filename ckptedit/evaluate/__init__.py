"""A model to scores."""

from ckptedit.evaluate.evaluate import ConceptScore, Scores, evaluate
from ckptedit.evaluate.judge import Verdict

__all__ = ["ConceptScore", "Scores", "Verdict", "evaluate"]
