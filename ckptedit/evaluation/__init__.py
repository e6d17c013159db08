"""A model to scores."""

from ckptedit.evaluation.evaluate import ConceptScore, Scores, evaluate
from ckptedit.evaluation.judge import Verdict

__all__ = ["ConceptScore", "Scores", "Verdict", "evaluate"]
