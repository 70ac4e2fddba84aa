"""Describe what a run reads: a step of training, and the held-out text while it trains."""

from pydantic import BaseModel, ConfigDict, Field


class BatchConfig(BaseModel):
    """Describe what one training step reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(16, gt=0, description="blocks of text a step")
    length: int = Field(128, ge=8, description="tokens in a block")
    separate_documents: bool = Field(
        False, description="hide documents packed in one block from each other"
    )


class ValidationConfig(BaseModel):
    """Describe the loss on held-out text while training: the same blocks and corruption."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    times: int = Field(
        10, ge=0, description="how often, spread evenly over the budget; the end included"
    )
    blocks: int = Field(64, gt=0, description="at most this many blocks")
