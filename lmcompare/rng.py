"""Randomness as an argument: every stream of random numbers is a function of what it is for.

A stream is named by its purpose and whatever else it depends on, mostly (seed, step). Nothing about
randomness is ever saved, so a resumed run draws what an uninterrupted one would have drawn.
Generators live on the CPU whatever the device, so that a run's corruption does not depend on where
it is trained.
"""

from hashlib import blake2b

import torch


def key(purpose: str, *coordinates: int | str) -> int:
    """Return a 63-bit number that depends on all of (purpose, coordinates) and on nothing else."""
    name = "/".join([purpose, *map(str, coordinates)])
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") >> 1


def generator(purpose: str, *coordinates: int | str) -> torch.Generator:
    """Return a fresh CPU generator at the start of the stream named by (purpose, coordinates)."""
    return torch.Generator().manual_seed(key(purpose, *coordinates))
