"""How probes are fitted, and to what."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from lmcompare.evaluation.options import EvalOptions, at_commas
from lmcompare.evaluation.states.choices import Stack, WordPooling, in_order

# linear; with one hidden layer; linear, with the length of an online code beside the score
Probe = Literal["linear", "mlp", "mdl"]

USUAL_TASKS = (
    *("upos", "features", "deprel", "head-distance"),
    *("edge", "structure", "identity"),
)
USUAL_IN_WORDS = ", ".join(USUAL_TASKS)


class ProbeOptions(EvalOptions):
    """What is asked of the states of a model's layers, beside what all kinds share."""

    kind: ClassVar[str] = "lmcompare.evaluation.probes.kind:ProbeKind"
    name: ClassVar[str] = "probes"
    heading: ClassVar[str] = "Probes"
    about: ClassVar[str] = "probes"
    command: ClassVar[str] = "probe"
    in_all: ClassVar[bool] = False
    text_option: ClassVar[str] = "treebank"

    treebank: tuple[Path, ...] = Field(
        (),
        description="Labelled text: files of CoNLL-U or of columns of words and tags, or a folder "
        "of them. Names with train, dev and test say which part is which; else every tenth "
        "document is for validation, and every tenth for the test.",
        json_schema_extra={"metavar": "FILE"},
    )
    tasks: tuple[str, ...] = Field(
        USUAL_TASKS,
        description="Which questions, with commas between them: names, or groups (token, features, "
        "edge, structure, identity, sentence), or all.",
        json_schema_extra={"metavar": "NAMES", "default": USUAL_IN_WORDS, "commas": True},
    )
    probe: Probe = Field(
        "linear",
        description="A linear probe; mlp, with one hidden layer; or mdl, linear with the length of "
        "an online code.",
    )
    layers: tuple[int, ...] = Field(
        (),
        description="Which layers, with commas between them; 0 is the embedding.",
        json_schema_extra={"metavar": "NUMBERS", "default": "all", "commas": True},
    )
    words: WordPooling = Field(
        "mean", description="How the states of a word's pieces become one: mean, first or last."
    )
    stack: Stack = Field("encoder", description="Of an encoder-decoder: which of the two is read.")
    limit: int | None = Field(
        None,
        ge=10,
        description="How many sentences of each part are used at most, the same for every run.",
        json_schema_extra={"default": "all"},
    )
    seed: tuple[int, ...] = Field(
        (0,),
        min_length=1,
        description="Draws the labels of control tasks, and the weights that an mlp starts from; "
        "of several, with commas between them, the mean is kept.",
        json_schema_extra={"metavar": "NUMBERS", "default": "0", "commas": True},
    )
    untrained: bool = Field(True, description="Probe each model as it was before training, too.")
    every_checkpoint: bool = Field(
        False,
        description="Probe the models of all checkpoints that were kept, not only the last one.",
    )
    disk_gb: float = Field(
        20.0,
        gt=0,
        description="How much disk the states of one model may take while it is probed, in GB.",
    )

    _split_at_commas = field_validator("tasks", "layers", "seed", mode="before")(at_commas)
    _in_order = field_validator("layers")(in_order)
