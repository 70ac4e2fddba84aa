"""Tell how alike two sets of states are: the mathematics, without models or files.

Each measure takes `Moments`, and gives besides its value the values without each group of words,
from which a jackknife tells how sure it is. Sources stand with each function; docs/representations
says what each cannot tell.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from lmcompare.evaluation.similarity.moments import Moments
from lmcompare.stats.intervals import Estimate, error_interval

KEPT = 0.99  # of the variance: what SVCCA keeps of each layer
FEWEST = 4  # words: the debiased estimator of fewer is not defined


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A similarity, and what it is without each group of words.

    Attributes:
        value: of all words; None where a layer does not vary at all.
        without: the same without each group; empty where there is one group only.
    """

    value: float | None
    without: Float[ndarray, " G"]

    @property
    def error(self) -> float | None:
        """Return the standard error by the jackknife over groups (Tukey 1958)."""
        return jackknife_error(self.without) if self.value is not None else None

    @property
    def interval(self) -> Estimate | None:
        """Return the value with its 95% interval; without ends where there is one group only."""
        if self.value is None:
            return None
        error = self.error
        if error is None:
            return Estimate(mean=self.value, low=None, high=None, num=1)
        return error_interval(self.value, error, len(self.without))


NOTHING = Measured(value=None, without=np.empty(0))


def jackknife_error(without: Float[ndarray, " G"]) -> float | None:
    """Return the standard error of a value, by its values without each of G groups."""
    num = len(without)
    if num < 2:
        return None
    return math.sqrt((num - 1) / num * float(((without - without.mean()) ** 2).sum()))


def debiased_hsic(sums: Moments) -> Float[ndarray, "*G"]:
    """Return the unbiased estimate of HSIC with linear kernels (Song et al. 2012, equation 5).

    With K = XX' and L = YY', their diagonals being 0, it is
    [tr KL + 1'K1 1'L1 / ((n-1)(n-2)) - 2 1'KL1 / (n-2)] / (n (n-3)). Each term follows from sums in
    the space of features, so that no kernel is ever made.
    """
    num, (x, y) = sums.num, sums.sums
    (norms_x, norms_y), (weighted_x, weighted_y) = sums.norms, sums.weighted
    trace = (sums.cross**2).sum((-2, -1)) - sums.product_of_norms
    total_x, total_y = (x**2).sum(-1) - norms_x, (y**2).sum(-1) - norms_y
    through = (
        np.einsum("...d,...de,...e->...", x, sums.cross, y, optimize=True)
        - (x * weighted_x).sum(-1)
        - (y * weighted_y).sum(-1)
        + sums.product_of_norms
    )
    found: ndarray = trace + total_x * total_y / ((num - 1) * (num - 2)) - 2 * through / (num - 2)
    found /= num * (num - 3)
    return found


def hsic_and_without(sums: Moments) -> Float[ndarray, " G1"]:
    """Return HSIC of all words, and after it HSIC without each of G groups."""
    without = debiased_hsic(sums.without_each) if len(sums.product) > 1 else np.empty(0)
    return np.concatenate(([debiased_hsic(sums.total)], without))


def cka(xy: ndarray, xx: ndarray, yy: ndarray) -> Measured:
    """Return debiased linear CKA (Kornblith et al. 2019, with the HSIC of Song et al. 2012).

    This is the estimator of Nguyen et al. 2021 on all words at once. It is 0 on average for
    independent states, however few words there are.

    Args:
        xy: HSIC of both, of all words and without each group.
        xx: HSIC of the one with itself.
        yy: HSIC of the other with itself.
    """
    scale = xx * yy
    if not np.all(scale > 0):
        return NOTHING
    found = xy / np.sqrt(scale)
    return Measured(value=float(found[0]), without=found[1:])


def procrustes(sums: Moments) -> Measured:
    """Return the similarity that is left after the best rotation (Schoenemann 1966).

    It is the nuclear norm of X'Y, both being centred and divided by their Frobenius norms: one less
    half of the squared distance of Ding et al. 2021. Without a group, the rotation is held.
    """
    total = sums.total
    spread = math.sqrt(np.prod(np.maximum(total.variances, 0)))
    if not spread > 0:
        return NOTHING
    left, values, right = np.linalg.svd(total.centered, full_matrices=False)
    value = float(values.sum() / spread)
    if len(sums.product) < 2:
        return Measured(value=value, without=np.empty(0))
    rest = sums.without_each
    aligned = _inner(rest.centered, left @ right)
    return Measured(value=value, without=aligned / np.sqrt(rest.variances[0] * rest.variances[1]))


def whitening(covariance: Float[ndarray, "D D"], *, kept: float = KEPT) -> Float[ndarray, "D K"]:
    """Return what makes a centred layer's leading directions uncorrelated and of length 1.

    Args:
        covariance: the sum of (x - mean) (x - mean)'.
        kept: the share of the variance that the K leading directions have.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    if not values.sum() > 0:
        return np.empty((len(covariance), 0))
    num = int(np.searchsorted(values.cumsum() / values.sum(), kept - 1e-12)) + 1
    found: ndarray = vectors[:, :num] / np.sqrt(values[:num])
    return found


def svcca(sums: Moments, own_x: Moments, own_y: Moments, x: ndarray, y: ndarray) -> Measured:
    """Return the mean canonical correlation of leading directions (Raghu et al. 2017).

    Without a group, the canonical directions move as far as their first derivative says.

    Args:
        sums: of both layers.
        own_x: of the one with itself.
        own_y: of the other with itself.
        x: the `whitening` of the one.
        y: the `whitening` of the other.
    """
    num = min(x.shape[1], y.shape[1])
    if not num:
        return NOTHING
    left, values, right = np.linalg.svd(x.T @ sums.total.centered @ y, full_matrices=False)
    values = np.minimum(values, 1)
    value = float(values.sum() / num)
    if len(sums.product) < 2:
        return Measured(value=value, without=np.empty(0))
    left, right = x @ left, y @ right.T
    # the influence of a word on a canonical correlation r is ab - r (a^2 + b^2) / 2, where a and b
    # are its canonical variates
    mean_x, mean_y = (each / sums.total.num for each in sums.total.sums)
    influence = (
        _inner(sums.about(mean_x, mean_y), left @ right.T)
        - _inner(own_x.about(mean_x, mean_x), (left * values) @ left.T) / 2
        - _inner(own_y.about(mean_y, mean_y), (right * values) @ right.T) / 2
    ) / num
    share = sums.total.num / (sums.total.num - sums.num)
    return Measured(value=value, without=value - share * influence)


def _inner(sums: Float[ndarray, "G D E"], weights: Float[ndarray, "D E"]) -> Float[ndarray, " G"]:
    found: ndarray = np.einsum("gde,de->g", sums, weights, optimize=True)
    return found
