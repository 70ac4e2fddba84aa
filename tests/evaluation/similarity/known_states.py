"""States whose similarities are known, and the measures as the papers write them."""

import numpy as np
from numpy import ndarray

from lmcompare.evaluation.similarity.moments import Moments, features, moments


def drawn(num: int, width: int, seed: int = 0) -> ndarray:
    return np.random.default_rng(seed).normal(size=(num, width))


def rotation(width: int, seed: int = 0) -> ndarray:
    return np.linalg.qr(drawn(width, width, seed))[0]


def raw(states: ndarray) -> ndarray:
    """The features of states that are neither centred nor scaled."""
    return features(states, np.zeros(states.shape[1]), 1.0)


def groups(num: int, size: int) -> list[range]:
    return [range(start, min(start + size, num)) for start in range(0, num, size)]


def sums(x: ndarray, y: ndarray, size: int = 7, block: int = 5) -> Moments:
    return moments(raw(x), raw(y), groups(len(x), size), block=block)


def hsic_by_kernels(x: ndarray, y: ndarray) -> float:
    """Equation 5 of Song et al. 2012, word by word."""
    num, one = len(x), np.ones(len(x))
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    inner = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((num - 1) * (num - 2))
    return float((inner - 2 * (one @ k @ m @ one) / (num - 2)) / (num * (num - 3)))


def cka_by_kernels(x: ndarray, y: ndarray) -> float:
    return hsic_by_kernels(x, y) / np.sqrt(hsic_by_kernels(x, x) * hsic_by_kernels(y, y))


def biased_cka(x: ndarray, y: ndarray) -> float:
    """Linear CKA of Kornblith et al. 2019."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float(np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y))
