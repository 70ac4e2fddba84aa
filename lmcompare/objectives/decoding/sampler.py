"""How the next token is chosen from what a model predicts: one value of settings, and its laws.

Draws are made in float64: in lower precision the tail of a distribution is cut off, which flatters
a model's text (Zheng et al. 2024, https://arxiv.org/abs/2409.02908).
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor

from lmcompare.errors import UserError, did_you_mean

NO_TOKEN = -1  # where a row has fewer tokens than others
# settings of a law to draw one token from, and of a choice of one
DRAWN = frozenset({"temperature", "top_k", "top_p", "min_p", "typical"})
CHOSEN = DRAWN | {"greedy"}


class Sampler(BaseModel):
    """Settings of decoding; a setting that the chosen method does not use must not be set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    greedy: bool = Field(False, description="always the likeliest token")
    temperature: float = Field(1.0, description="below 1 sharpens, above 1 flattens")
    top_k: int | None = Field(None, ge=1, description="only of this many likeliest tokens")
    top_p: float | None = Field(
        None, gt=0, le=1, description="of the fewest tokens that have this probability together"
    )
    min_p: float | None = Field(
        None, gt=0, le=1, description="of tokens with this share of the likeliest one's probability"
    )
    typical: float | None = Field(
        None, gt=0, lt=1, description="of the tokens nearest to the entropy, with this probability"
    )
    repetition_penalty: float = Field(
        1.0,
        gt=0,
        description="above 1: what was said is rarer; beams add up log-probabilities of the law "
        "that is left, normalised (transformers penalises them afterwards, so its beams differ)",
    )
    no_repeat_ngram: int | None = Field(
        None, ge=1, description="this many tokens in a row never come twice"
    )
    beams: int = Field(1, ge=1, description="texts that are kept in a search for the likeliest")
    length_penalty: float = Field(
        1.0, description="of beams: log-probability is divided by the length to this power"
    )
    degeneration_penalty: float | None = Field(
        None, ge=0, le=1, description="of contrastive search: what likeness to the text costs"
    )
    candidates: int = Field(
        5, ge=2, description="of contrastive search: likeliest tokens that are tried at each step"
    )
    steps: int | None = Field(None, ge=1, description="forward passes, or rounds over the text")
    threshold: float | None = Field(
        None, gt=0, le=1, description="tokens at least as sure as this are taken together"
    )
    entropy: float | None = Field(
        None, gt=0, description="nats that tokens taken together may be unsure of"
    )
    block: int | None = Field(None, ge=1, description="tokens of a block, filled left to right")

    @model_validator(mode="after")
    def _agrees(self) -> "Sampler":
        if self.temperature <= 0:
            raise ValueError(
                f"a temperature of {self.temperature:g} divides by nothing: choose one above 0, or "
                "greedy for the likeliest token"
            )
        chosen = self.model_fields_set & DRAWN
        if self.greedy and chosen:
            raise ValueError(
                f"greedy takes the likeliest token, which leaves {' and '.join(sorted(chosen))} "
                "without effect: leave out one or the other"
            )
        if self.beams > 1 and (self.greedy or chosen):
            raise ValueError(
                f"a search with {self.beams} beams draws nothing, which leaves "
                f"{' and '.join(sorted(chosen)) or 'greedy'} without effect: leave out one or the "
                "other"
            )
        if "length_penalty" in self.model_fields_set and self.beams == 1:
            raise ValueError("length_penalty compares beams, and there is one: set beams too")
        contrast = self.degeneration_penalty is not None
        if contrast and (self.greedy or self.beams > 1 or chosen):
            idle = sorted(chosen) or ["greedy" if self.greedy else "beams"]
            raise ValueError(
                "a contrastive search draws nothing and keeps one text, which leaves "
                f"{' and '.join(idle)} without effect: leave out that or degeneration_penalty"
            )
        if "candidates" in self.model_fields_set and not contrast:
            raise ValueError(
                "candidates are those of a contrastive search: set degeneration_penalty too"
            )
        return self

    @property
    def in_words(self) -> list[str]:
        """Return each setting that was set, in words."""
        return [
            name.replace("_", "-") if value is True else f"{name.replace('_', '-')} {value:g}"
            for name, value in self.model_dump(exclude_unset=True).items()
        ]

    @property
    def looks_back(self) -> bool:
        """Tell whether it changes what comes next by what was written."""
        return self.repetition_penalty != 1 or self.no_repeat_ngram is not None

    def shape(
        self,
        logits: Float[Tensor, "N V"],
        *,
        banned: Int[Tensor, " K"],
        history: Int[Tensor, "N L"] | None = None,
    ) -> Float[Tensor, "N V"]:
        """Return the logits of the law that is drawn from: minus infinity for what never is.

        Args:
            logits: what the model predicts.
            banned: ids of what is not text.
            history: what was written, the latest last; NO_TOKEN where there is no token.
        """
        logits = logits.float().index_fill(1, banned, -torch.inf)
        if history is not None and self.repetition_penalty != 1:
            logits = _penalise(logits, history, self.repetition_penalty)
        if history is not None and self.no_repeat_ngram is not None:
            logits = _never_again(logits, history, self.no_repeat_ngram)
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[1]:
            least = logits.topk(self.top_k).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p is not None:
            logits = _nucleus(logits, logits, self.top_p)
        if self.min_p is not None:
            probability = logits.softmax(1)
            few = probability < self.min_p * probability.amax(1, keepdim=True)
            logits = logits.masked_fill(few, -torch.inf)
        if self.typical is not None:
            log_prob = logits.log_softmax(1)
            entropy = -(log_prob.exp() * log_prob).nansum(1, keepdim=True)
            logits = _nucleus(logits, -(entropy + log_prob).abs(), self.typical)
        return logits

    def choose(
        self, logits: Float[Tensor, "N V"], uniform: Float[Tensor, " N"]
    ) -> Int[Tensor, " N"]:
        """Choose a token of each row by its law.

        Args:
            logits: as `shape` gives them.
            uniform: of each row, a number from 0 to 1 in float64, that decides.
        """
        if self.greedy:
            return logits.argmax(1)
        cumulated = logits.double().softmax(1).cumsum(1)
        point = uniform.to(cumulated.device)[:, None] * cumulated[:, -1:]
        found = torch.searchsorted(cumulated, point, right=True)[:, 0]
        return found.clamp(max=logits.shape[1] - 1)


def _nucleus(
    logits: Float[Tensor, "N V"], merit: Float[Tensor, "N V"], share: float
) -> Float[Tensor, "N V"]:
    """Keep only the tokens of most merit, the fewest that have this probability together.

    Merit is probability in Holtzman et al. 2020 (https://arxiv.org/abs/1904.09751), and nearness to
    the entropy in Meister et al. 2023 (https://arxiv.org/abs/2202.00666).
    """
    if share == 1:
        return logits
    order = merit.argsort(dim=1, descending=True, stable=True)
    probability = logits.double().softmax(1).gather(1, order)
    spare = probability.cumsum(1) - probability >= share  # what comes before is enough
    return logits.masked_fill(torch.zeros_like(spare).scatter(1, order, spare), -torch.inf)


def _penalise(
    logits: Float[Tensor, "N V"], history: Int[Tensor, "N L"], penalty: float
) -> Float[Tensor, "N V"]:
    """Make what was said rarer, as CTRL does (Keskar et al. 2019, arxiv.org/abs/1909.05858)."""
    said = torch.zeros(len(logits), logits.shape[1] + 1, dtype=torch.bool, device=logits.device)
    said.scatter_(1, history.where(history != NO_TOKEN, logits.shape[1]), True)
    less = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(said[:, :-1], less, logits)


def _never_again(
    logits: Float[Tensor, "N V"], history: Int[Tensor, "N L"], length: int
) -> Float[Tensor, "N V"]:
    """Leave out the tokens that would end an n-gram a second time, if that leaves any."""
    if history.shape[1] < length:
        return logits
    seen = history.unfold(1, length, 1)  # N W n
    last = history[:, None, history.shape[1] - length + 1 :]
    again = (seen[:, :, :-1] == last).all(2) & (seen != NO_TOKEN).all(2)
    banned = torch.zeros(len(logits), logits.shape[1] + 1, dtype=torch.bool, device=logits.device)
    banned.scatter_(1, seen[:, :, -1].where(again, logits.shape[1]), True)
    left = logits.masked_fill(banned[:, :-1], -torch.inf)
    return torch.where(left.isneginf().all(1, keepdim=True), logits, left)


def make_sampler(given: Mapping[str, Any], *, within: str = "") -> Sampler:
    """Return a sampler of the settings that were given (not None), and no others.

    Args:
        given: values by the names of their settings.
        within: a text that holds them all, where each was not given by itself, for messages.

    Raises:
        UserError: some contradict each other, or are out of range.
    """
    try:
        return Sampler.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise UserError(message) from None
        message = message[0].lower() + message[1:]
        name = first["loc"][0]
        setting = f"the decoding {within!r}: {name}" if within else f"`{name}=`"
        raise UserError(f"{setting} cannot be {first['input']}: {message}") from None


def read_sampler(text: str) -> Sampler:
    """Read settings such as `greedy` or `top_k=40,temperature=0.7`.

    Raises:
        UserError: there is no such setting, or as `make_sampler`.
    """
    given: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = (each.strip() for each in part.partition("="))
        name = name.replace("-", "_")
        if name not in Sampler.model_fields:
            raise UserError(
                f"the decoding {text!r} sets '{name}', which is not a setting of sampling: "
                f"{did_you_mean(name, Sampler.model_fields)}"
            )
        given[name] = value or "true"
    return make_sampler(given, within=text)
