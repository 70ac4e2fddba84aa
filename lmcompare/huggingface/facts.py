"""What is known of a model of Hugging Face before its weights are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from safetensors import safe_open
from tokenizers import Tokenizer as Library

from lmcompare import hub
from lmcompare.data import Tokenizer, hf_tokenizer, special_tokens
from lmcompare.errors import Unsupported, UserError
from lmcompare.hub import HfSource
from lmcompare.huggingface.framing import Frame
from lmcompare.huggingface.mapping import OURS
from lmcompare.objectives import T5, Bart, Clm, Mlm, Objective, parse_objective

Kind = Literal["causal", "masked", "seq2seq", "states"]
AUTO_CLASSES: Mapping[Kind, str] = {
    "causal": "AutoModelForCausalLM",
    "masked": "AutoModelForMaskedLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
    "states": "AutoModel",
}
_REGISTRY: Mapping[Kind, str] = {  # in this order: BART stands in all of them
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "masked": "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
}
# whose first positions are kept for padding, as fairseq's were
_POSITIONS_AFTER_PAD = {"camembert", "data2vec-text", "roberta", "roberta-prelayernorm"} | {
    *("longformer", "luke", "mpnet", "xlm-roberta", "xlm-roberta-xl", "xmod")
}
# whose `n_positions` is no limit, as they know distances only
_ANY_POSITION = {"longt5", "mt5", "t5", "umt5"}
USUAL_LENGTH = 512  # where neither the configuration nor the tokenizer says how much is read


@dataclass(frozen=True, kw_only=True)
class HfFacts:
    """What is known of a model, its weights unread.

    Attributes:
        source: where it lies.
        config: its configuration, as transformers has it.
        kind: whether it predicts the next token, hidden ones, an output from a source, or nothing.
        class_name: the class that it is an instance of, where its configuration names one.
        tokenizer: its tokenizer, with an id for each row of its embedding.
        objective: how it is asked; None if it can only be read.
        why_none: why it cannot be asked, as the end of a sentence.
        frame: what stands around a text, of an encoder-decoder around its source.
        decoder_frame: of an encoder-decoder: what stands around what it writes.
        length: how many tokens rows of ours may have, the start token included.
        positions: how many tokens it has positions for, the frame's included; None for any number.
        rules: what was put in the place of what it lacks, a sentence each.
        num_parameters: of its weights as they are stored; None where that is not known.
    """

    source: HfSource
    config: Any
    kind: Kind
    class_name: str
    tokenizer: Tokenizer
    objective: Objective | None
    why_none: str
    frame: Frame
    decoder_frame: Frame
    length: int
    positions: int | None
    rules: tuple[str, ...]
    num_parameters: int | None

    @property
    def name(self) -> str:
        """Return what it is called in messages."""
        return self.source.name

    @property
    def model_type(self) -> str:
        """Return the family of its architecture."""
        return str(self.config.model_type)

    @property
    def causal(self) -> bool:
        """Tell whether what predicts reads from left to right."""
        if self.kind == "states":
            return _is_causal(self.config)
        return self.kind in ("causal", "seq2seq")

    def require_head(self) -> None:
        """Make sure that the model predicts.

        Raises:
            Unsupported: it does not.
        """
        if self.kind == "states":
            raise Unsupported(f"{self.name} predicts nothing: {self.why_none}")

    def longest_row(self, frame: Frame) -> int | None:
        """Return how many tokens a row of ours may have in a frame; None for any number."""
        return None if self.positions is None else self.positions - frame.added

    @cached_property
    def special_tokens(self) -> Mapping[str, str]:
        """Return how its special tokens are spelled, by role."""
        roles = self.tokenizer.vocab.roles
        return dict(zip(roles, self.tokenizer.pieces(roles.values()), strict=True))


def read_facts(source: HfSource | str) -> HfFacts:
    """Return what a model's configuration and tokenizer say of it.

    Args:
        source: where it lies, or `hf:FOLDER-or-NAME[@revision]`.

    Raises:
        UserError: there is no such model, its files are damaged, or it needs code of its own.
    """
    if isinstance(source, str):
        source = hub.find(source, weights=False)
    config = _config(source)
    kind, class_name = _kind(config)
    theirs = hf_tokenizer.load(source)
    rules = _complete(theirs.library, theirs, config, kind)
    tokenizer = Tokenizer(theirs.library)
    size = int(config.vocab_size)
    if tokenizer.vocab.size > size:
        raise UserError(
            f"the tokenizer of {source.name} has ids up to {tokenizer.vocab.size - 1} and its "
            f"embedding {size} rows: they do not belong together; get all files of one model"
        )
    tokenizer = tokenizer.of_size(size)
    objective, why_none = _objective(config, kind, tokenizer)
    frame, decoder_frame = _frames(theirs, config, kind, tokenizer)
    positions = _positions(config)
    longest = min(filter(None, (positions, theirs.longest)), default=USUAL_LENGTH)
    return HfFacts(
        source=source,
        config=config,
        kind=kind,
        class_name=class_name,
        tokenizer=tokenizer,
        objective=objective,
        why_none=why_none,
        frame=frame,
        decoder_frame=decoder_frame,
        length=longest - max(frame.added, decoder_frame.added, 0),
        positions=positions,
        rules=tuple(rules),
        num_parameters=_num_parameters(source),
    )


def _config(source: HfSource) -> Any:
    library = hub.transformers(source.name)
    if source.gguf is not None:
        hub.gguf(source.name)
    told = source.config
    if "auto_map" in told and told.get("model_type") not in library.CONFIG_MAPPING:
        raise UserError(
            f"{source.name} needs code of its own, which is never run here: choose a model whose "
            "class transformers has"
        )
    try:
        config = hub.from_pretrained(library.AutoConfig, source)
    except Exception as error:  # each kind of damage has its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the configuration of {source.name} is not one that transformers "
            f"{library.__version__} knows ({reason}): get it again, or a later transformers"
        ) from error
    if not isinstance(getattr(config, "vocab_size", None), int):
        raise UserError(f"{source.name} is no model of text, as it has no vocabulary")
    return config


def _kind(config: Any) -> tuple[Kind, str]:
    """Return what a model predicts, and the name of its class."""
    from transformers.models.auto import modeling_auto

    named = (config.architectures or [""])[0]
    for kind, registry in _REGISTRY.items():
        if named in getattr(modeling_auto, registry).values():
            return kind, named
    if not named:
        for kind, registry in _REGISTRY.items():
            known = getattr(modeling_auto, registry).get(config.model_type)
            if known is not None and (kind == "seq2seq" or not config.is_encoder_decoder):
                return kind, known
    return "states", named


def _is_causal(config: Any) -> bool:
    from transformers.models.auto import modeling_auto

    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return config.model_type in causal and config.model_type not in masked


def _complete(
    library: Library, theirs: hf_tokenizer.HfTokenizer, config: Any, kind: Kind
) -> list[str]:
    """Give the roles that are missing to tokens that can stand in, and say so."""
    roles = dict(special_tokens.vocab_of(library).roles)
    rules = []

    def stand_in(role: str, number: int | None, rule: str) -> None:
        if role not in roles and number is not None:
            roles[role] = number
            rules.append(rule.format(token=library.id_to_token(number)))

    if kind == "seq2seq":
        start = config.decoder_start_token_id
        stand_in("bos", start, "rows begin with {token}, with which its decoder starts")
    first = theirs.before[0] if theirs.before else None
    stand_in("bos", first, "rows begin with {token}, as its tokenizer has it")
    last = theirs.after[-1] if theirs.after else None
    stand_in("eos", last, "texts end with {token}, as its tokenizer has it")
    stand_in("bos", roles.get("eos"), "rows begin with {token}, which ends texts: it has no other")
    stand_in("eos", roles.get("bos"), "texts end with {token}, which begins them: it has no other")
    stand_in("pad", roles.get("eos"), "rows are padded with {token}, which nobody looks at there")
    kept = {role: str(library.id_to_token(number)) for role, number in roles.items()}
    special_tokens.keep_roles(library, kept)
    return rules


def _objective(config: Any, kind: Kind, tokenizer: Tokenizer) -> tuple[Objective | None, str]:
    """Return how a model is asked; or None, and why it is not."""
    ours = getattr(config, OURS, None)
    if isinstance(ours, Mapping) and "objective" in ours:
        return parse_objective(ours["objective"]), ""
    vocab = tokenizer.vocab
    if kind == "states":
        return None, "it has no head that predicts tokens, and can only be read"
    if "bos" not in vocab.roles:
        return None, "its tokenizer has no token that begins a text, nor one that ends it"
    if kind == "causal":
        return Clm(), ""
    if kind == "seq2seq" and vocab.sentinels:
        return T5(), ""
    if "mask" not in vocab.roles:
        lacks = "neither a mask nor sentinels" if kind == "seq2seq" else "no mask"
        return None, f"its tokenizer has {lacks}, and so no hidden token can be asked for"
    return (Bart() if kind == "seq2seq" else Mlm()), ""


def _frames(
    theirs: hf_tokenizer.HfTokenizer, config: Any, kind: Kind, tokenizer: Tokenizer
) -> tuple[Frame, Frame]:
    """Return what stands around a text, and around what a decoder writes."""
    bos = tokenizer.vocab.roles.get("bos")
    start = () if bos is None else (bos,)
    if kind == "causal" or (kind == "states" and _is_causal(config)):
        frame = Frame(opening=theirs.before or start)
        return frame, frame
    frame = Frame(opening=theirs.before, closing=theirs.after)
    if not theirs.before and not theirs.after:
        frame = Frame(opening=start)
    first = config.decoder_start_token_id if kind == "seq2seq" else None
    if first is None or theirs.before[:1] == (first,):
        return frame, Frame(opening=theirs.before or start)
    return frame, Frame(opening=(first, *theirs.before))


def _positions(config: Any) -> int | None:
    """Return how many tokens a model has positions for, all special ones included."""
    found = getattr(config, "max_position_embeddings", None)
    if found is None and config.model_type not in _ANY_POSITION:
        found = getattr(config, "n_positions", None)
    if not isinstance(found, int) or found <= 0:
        return None
    kept = (config.pad_token_id or 0) + 1 if config.model_type in _POSITIONS_AFTER_PAD else 0
    return found - kept


def _num_parameters(source: HfSource) -> int | None:
    """Count the numbers in the weights' files, from what their heads say."""
    if source.gguf is not None:
        return None
    total = 0
    for path in sorted(source.folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (no mapping)
                    total += math.prod(tensors.get_slice(name).get_shape())
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"{path} is no file of weights ({error}): get it again") from error
    return total or None
