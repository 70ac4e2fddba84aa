"""How well predicted labels agree with given ones, beyond the share that is right.

Matthews' correlation for any number of classes (Gorodkin 2004, Computational Biology and Chemistry
28), and the expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599) in 15
bins of equal width.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

BINS = 15  # of confidence


def macro_f1(label: Float[ndarray, " N"], predicted: Float[ndarray, " N"]) -> float:
    """Return the mean F1 of all labels that are given or predicted."""
    scores = []
    for each in np.union1d(label, predicted):
        right = ((label == each) & (predicted == each)).sum()
        scores.append(2 * right / ((label == each).sum() + (predicted == each).sum()))
    return float(np.mean(scores))


def matthews(label: Float[ndarray, " N"], predicted: Float[ndarray, " N"]) -> float:
    """Return the correlation of labels and predictions; 0 where one of them does not vary."""
    classes = np.union1d(label, predicted)
    given, said = label[:, None] == classes, predicted[:, None] == classes  # N C

    def covariance(one: ndarray, two: ndarray) -> float:
        return float((one * two).sum(1).mean() - (one.mean(0) * two.mean(0)).sum())

    spread = covariance(given, given) * covariance(said, said)
    return covariance(given, said) / float(np.sqrt(spread)) if spread > 0 else 0.0


def calibration_error(confidence: Float[ndarray, " N"], right: Bool[ndarray, " N"]) -> float:
    """Return the mean distance of confidence and accuracy, over bins of confidence."""
    number = np.ceil(confidence * BINS).clip(1, BINS)
    gaps = [
        abs(confidence[number == each].sum() - right[number == each].sum())
        for each in range(1, BINS + 1)
    ]
    return float(sum(gaps) / len(confidence))
