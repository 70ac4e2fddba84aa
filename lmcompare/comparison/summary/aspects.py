"""The aspects of the summary, in the order in which they are read; one file for those alike."""

from lmcompare.comparison.summary.attention import AttentionDirection, ContextUse
from lmcompare.comparison.summary.base import Aspect
from lmcompare.comparison.summary.best_suited import BestSuited
from lmcompare.comparison.summary.inference import Inference
from lmcompare.comparison.summary.learning import ComputeEfficiency, DataEfficiency, Learns
from lmcompare.comparison.summary.training import TrainingSignal
from lmcompare.comparison.summary.understanding import LinguisticKnowledge, Understanding
from lmcompare.comparison.summary.writing import Generation

ASPECTS: list[Aspect] = [
    AttentionDirection(),
    ContextUse(),
    TrainingSignal(),
    Learns(),
    DataEfficiency(),
    ComputeEfficiency(),
    Generation(),
    Inference(),
    Understanding(),
    LinguisticKnowledge(),
    BestSuited(),
]
