"""The shape of the backbone, and the sizes that have names.

The shape is Llama's (Touvron et al. 2023): pre-norm RMSNorm, rotary positions, SwiGLU, no biases;
the output head is the token embedding (tied). An encoder and cross-attention may be added.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from lmcompare.errors import UserError, did_you_mean


class ModelConfig(BaseModel):
    """The shape; written as a preset's name, or as a preset and changes to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: str = Field("nano", description="the named size that the rest starts from")
    layers: int = Field(gt=0, description="of one stack; two of them are matched to it")
    encoder_layers: int = Field(
        0, ge=0, description="0: an objective that needs an encoder gets one by `model.match`"
    )
    decoder_layers: int | None = Field(
        None, gt=0, description="beside an encoder; as many as `model.layers` by default"
    )
    match: Literal["parameters", "flops"] = Field(
        "parameters",
        description="what an encoder that is added leaves as it was: about the parameters, or the "
        "layers that a token passes",
    )
    width: int = Field(gt=0, description="D, a multiple of the number of heads")
    heads: int = Field(gt=0)
    ffn: int = Field(gt=0, description="F, width of the feed-forward part")
    rotary_base: float = Field(10_000.0, gt=0)
    norm_epsilon: float = Field(1e-5, gt=0)

    @model_validator(mode="wrap")
    @classmethod
    def _from_preset(
        cls, given: Any, validated: ModelWrapValidatorHandler["ModelConfig"]
    ) -> "ModelConfig":
        if isinstance(given, str):
            given = {"preset": given}
        if not isinstance(given, Mapping):
            return validated(given)
        preset = given.get("preset", "nano")
        if not isinstance(preset, str) or preset not in PRESETS:
            near = did_you_mean(str(preset), PRESETS)
            raise UserError(f"no model size is called '{preset}': {near}")
        model = validated({**PRESETS[preset], **given})
        model.model_fields_set.intersection_update(given)  # what a preset means was not given
        return model

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelConfig":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} gives {self.heads} heads no even share (rotary positions "
                "turn pairs): "
                "choose a width that is a multiple of twice the number of heads"
            )
        return self

    @model_validator(mode="after")
    def _decoder_beside_an_encoder(self) -> "ModelConfig":
        if self.decoder_layers is not None and not self.encoder_layers:
            raise ValueError(
                f"decoder_layers {self.decoder_layers} stand beside an encoder, and encoder_layers "
                "is 0: set it too, or set layers instead"
            )
        return self

    @property
    def depth(self) -> int:
        """Return the layers of the stack that predicts: the only one, or the decoder."""
        return self.decoder_layers or self.layers

    @property
    def head_width(self) -> int:
        """Return K, the width of one attention head."""
        return self.width // self.heads

    @property
    def num_matrix_parameters(self) -> int:
        """Count the parameters in the layers' matrices."""
        square = self.width * self.width
        each = 4 * square + 3 * self.width * self.ffn
        return (self.encoder_layers + self.depth) * each + self._crossing * 4 * square

    def num_parameters(self, vocab_size: int) -> int:
        """Count all parameters; the head is the embedding and counts once."""
        norms = 2 * self.encoder_layers + 2 * self.depth + self._crossing + 1
        norms += self.encoder_layers > 0
        return self.num_matrix_parameters + (vocab_size + norms) * self.width

    @property
    def _crossing(self) -> int:
        """Count the layers with cross-attention."""
        return self.depth if self.encoder_layers else 0

    def with_encoder(self) -> "ModelConfig":
        """Return the encoder-decoder that is compared with this model, as `match` says.

        On FLOPs it has this many layers of each kind, as a token passes only one of the two stacks;
        so it has about twice the parameters (Raffel et al. 2020, section 3.2). On parameters it has
        the number nearest to this model's, cross-attention counted, with an encoder as deep as the
        decoder or one layer off.
        """
        assert self.encoder_layers == 0, "it has an encoder already"
        if self.match == "flops":
            return self._stacks(self.layers, self.layers)
        depths = [
            self._stacks(encoder, decoder)
            for decoder in range(1, self.layers + 1)
            for encoder in range(max(1, decoder - 1), decoder + 2)
        ]
        return min(depths, key=lambda made: (self._apart(made), -made.encoder_layers))

    def without_encoder(self) -> "ModelConfig":
        """Return the decoder-only model that this one is compared with; undo `with_encoder`."""
        return self.model_copy(update={"encoder_layers": 0, "decoder_layers": None})

    def _stacks(self, encoder: int, decoder: int) -> "ModelConfig":
        return self.model_copy(update={"encoder_layers": encoder, "decoder_layers": decoder})

    def _apart(self, other: "ModelConfig") -> int:
        """Return the difference in parameters; of one width, so whatever the vocabulary."""
        return abs(other.num_parameters(0) - self.num_parameters(0))


# about 1M, 5M, 25M, 110M, 330M and 750M parameters with the vocabularies they are used with
PRESETS: Mapping[str, Mapping[str, int]] = {
    "nano": {"layers": 4, "width": 128, "heads": 2, "ffn": 320},
    "micro": {"layers": 6, "width": 256, "heads": 4, "ffn": 640},
    "small": {"layers": 8, "width": 512, "heads": 8, "ffn": 1344},
    "base": {"layers": 12, "width": 768, "heads": 12, "ffn": 2048},
    "medium": {"layers": 24, "width": 1024, "heads": 16, "ffn": 2752},
    "large": {"layers": 36, "width": 1280, "heads": 20, "ffn": 3456},
}
