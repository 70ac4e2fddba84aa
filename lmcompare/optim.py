"""AdamW on float32 master weights, and how its learning rate moves.

All parameters lie in one flat buffer, matrices first: one call clips, one updates, one casts. A
network that computes in bfloat16 holds a rounded copy of the masters; its gradients are added up in
float32.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn


class OptimizerConfig(BaseModel):
    """AdamW (Loshchilov & Hutter 2019) and its schedule; shares are shares of the budget."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    learning_rate: float = Field(
        3e-3,
        gt=0,
        description="the highest of the schedule; by default less for a model wider than 128, in "
        "inverse proportion",
    )
    schedule: Literal["cosine", "linear", "wsd", "constant"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1, description="share over which the rate rises from 0")
    decay: float = Field(0.2, gt=0, le=1, description="wsd: share over which it falls at the end")
    final: float = Field(
        0.1, ge=0, le=1, description="the last learning rate, as a share of the highest"
    )
    per_phase: bool = Field(
        False,
        description="a schedule for each phase, warm-up and all, in place of one across them",
    )
    weight_decay: float = Field(0.1, ge=0, description="of matrices; norms are never decayed")
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    epsilon: float = Field(1e-8, gt=0)
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema: float | None = Field(None, gt=0, lt=1, description="decay of averaged weights, if wanted")

    @model_validator(mode="after")
    def _phases_fit(self) -> "OptimizerConfig":
        if self.schedule == "wsd" and self.warmup + self.decay > 1:
            raise ValueError(
                f"optimizer.warmup {self.warmup} and optimizer.decay {self.decay} add up to more "
                "than the whole budget: lower one of them"
            )
        return self

    def suited_to(self, width: int) -> "OptimizerConfig":
        """Return the same for a model of `width`: where no rate was set, a lower one above 128.

        Updates of AdamW change a wider layer's output by more (Yang et al. 2022, Tensor Programs V,
        https://arxiv.org/abs/2203.03466).
        """
        if "learning_rate" in self.model_fields_set:
            return self
        rate = self.learning_rate * min(1.0, 128 / width)
        return self.model_copy(update={"learning_rate": rate})


def learning_rate(config: OptimizerConfig, progress: float) -> float:
    """Return the learning rate of the step that ends at `progress`, a share of the budget."""
    progress = min(progress, 1.0)
    if progress < config.warmup:
        return config.learning_rate * progress / config.warmup
    share = (progress - config.warmup) / (1 - config.warmup)
    if config.schedule == "constant":
        fallen = 0.0
    elif config.schedule == "linear":
        fallen = share
    elif config.schedule == "wsd":  # warm-up, stable, decay (Hu et al. 2024, MiniCPM)
        fallen = max(0.0, (progress - (1 - config.decay)) / config.decay)
    else:
        fallen = (1 - math.cos(math.pi * share)) / 2
    return config.learning_rate * (1 - fallen * (1 - config.final))


class Optimizer:
    """The master weights of `net`, whose parameters become views into one buffer of `dtype`."""

    def __init__(self, net: nn.Module, config: OptimizerConfig, *, dtype: torch.dtype):
        self.config = config
        named = sorted(net.named_parameters(), key=lambda item: item[1].ndim == 1)
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        num_decayed = sum(p.numel() for p in self._parameters if p.ndim > 1)
        with torch.no_grad():
            self.master = torch.cat([p.detach().float().flatten() for p in self._parameters])
            self._working = self.master if dtype == torch.float32 else self.master.to(dtype)
            self._gradient = torch.zeros_like(self.master)
            for parameter, view in zip(self._parameters, self._views(self._working), strict=True):
                parameter.data = view
        self.average = None if config.ema is None else self.master.clone()
        decayed, rest = (
            nn.Parameter(self.master[:num_decayed]),
            nn.Parameter(self.master[num_decayed:]),
        )
        decayed.grad, rest.grad = self._gradient[:num_decayed], self._gradient[num_decayed:]
        self._adamw = torch.optim.AdamW(
            [
                {"params": [decayed], "weight_decay": config.weight_decay},
                {"params": [rest], "weight_decay": 0.0},
            ],
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=True,
        )
        for flat in (decayed, rest):
            self._adamw.state[flat] = {
                "step": torch.zeros((), device=self.master.device),
                "exp_avg": torch.zeros_like(flat),
                "exp_avg_sq": torch.zeros_like(flat),
            }

    def _views(self, flat: Float[Tensor, " P"]) -> list[Tensor]:
        """Return `flat` cut into the parameters' shapes."""
        parts = flat.split([p.numel() for p in self._parameters])
        return [part.view(p.shape) for part, p in zip(parts, self._parameters, strict=True)]

    def collect(self) -> None:
        """Add the parameters' gradients to what this step has so far, in float32."""
        for parameter, total in zip(self._parameters, self._views(self._gradient), strict=True):
            if parameter.grad is not None:
                total += parameter.grad
                parameter.grad = None

    def step(self, *, rate: float) -> Float[Tensor, ""]:
        """Update the weights by the collected gradient, clipped.

        Nothing here waits for the device.

        Returns:
            The norm of the gradient before clipping. Where it is not finite, nothing was updated.
        """
        norm: Tensor = torch.linalg.vector_norm(self._gradient)
        self._gradient *= (self.config.clip / (norm + 1e-6)).clamp(max=1)
        for group in self._adamw.param_groups:
            group["lr"] = rate
        # what torch.amp's scaler sets: the fused update leaves all as it was where this is 1
        self._adamw.found_inf = 1 - norm.isfinite().to(norm.dtype)  # type: ignore[attr-defined]
        self._adamw.step()
        self._publish(self.master)
        if self.average is not None and self.config.ema is not None:
            self.average.lerp_(self.master, 1 - self.config.ema)
        self._gradient.zero_()
        return norm

    def _publish(self, flat: Float[Tensor, " P"]) -> None:
        if self._working is not flat:
            self._working.copy_(flat)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the network compute with the averaged weights, if there are any, within the block."""
        if self.average is None:
            yield
            return
        kept = self.master.clone()
        self._working.copy_(self.average)
        try:
            yield
        finally:
            self._working.copy_(kept)

    def weights(self) -> dict[str, Tensor]:
        """Return the master weights by parameter name, float32."""
        return self._named(self.master)

    def averaged_weights(self) -> dict[str, Tensor] | None:
        """Return the averaged weights by parameter name, float32, if they are kept."""
        return None if self.average is None else self._named(self.average)

    def _named(self, flat: Float[Tensor, " P"]) -> dict[str, Tensor]:
        return dict(zip(self._names, self._views(flat), strict=True))

    def state(self) -> dict[str, Tensor]:
        """Return all that `restore` needs to continue as if never interrupted."""
        moments = list(self._adamw.state.values())
        state = {
            "weights": self.master,
            "step": moments[0]["step"],
            "first_moment": torch.cat([each["exp_avg"] for each in moments]),
            "second_moment": torch.cat([each["exp_avg_sq"] for each in moments]),
        }
        return state if self.average is None else {**state, "average": self.average}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from a state that `state` returned."""
        self.master.copy_(state["weights"])
        if self.average is not None:
            self.average.copy_(state["average"])
        moments = list(self._adamw.state.values())
        sizes = [each["exp_avg"].numel() for each in moments]
        first = state["first_moment"].to(self.master.device).split(sizes)
        second = state["second_moment"].to(self.master.device).split(sizes)
        for each, one, two in zip(moments, first, second, strict=True):
            each["step"].copy_(state["step"])
            each["exp_avg"].copy_(one)
            each["exp_avg_sq"].copy_(two)
        self._publish(self.master)
