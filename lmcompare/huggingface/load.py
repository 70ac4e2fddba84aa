"""Loading a model of Hugging Face: its weights once, in float32, from safetensors or GGUF."""

from dataclasses import dataclass
from typing import Any

import torch

from lmcompare import devices, hub
from lmcompare.data import Tokenizer
from lmcompare.errors import UserError
from lmcompare.hub import HfSource
from lmcompare.huggingface import parts
from lmcompare.huggingface.facts import AUTO_CLASSES, HfFacts, read_facts
from lmcompare.huggingface.network import HfNetwork
from lmcompare.huggingface.xlnet import XlnetNetwork
from lmcompare.objectives import Objective

CLOSE = 1e-3  # of logits from parts to those of the whole


@dataclass(frozen=True, kw_only=True)
class HfContestant:
    """A model of Hugging Face, with all that is needed to ask it.

    Attributes:
        net: the network.
        tokenizer: its tokenizer, with an id for each row of its embedding.
        objective: how it is asked; None if it can only be read.
        length: how many tokens rows of ours may have, the start token included.
        num_parameters: of the network.
        facts: what is known of it besides.
        source: where it lies.
    """

    net: HfNetwork
    tokenizer: Tokenizer
    objective: Objective | None
    length: int
    num_parameters: int
    facts: HfFacts
    source: HfSource


def load_hf(
    source: HfSource | str,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    objective: Objective | None = None,
) -> HfContestant:
    """Load a model.

    Args:
        source: where it lies, or `hf:FOLDER-or-NAME[@revision]`.
        device: where it computes.
        batch_size: rows that it is asked about at once; as many as suits the device by default.
        objective: how it is asked; as its class says by default.

    Raises:
        UserError: there is no such model or device, its weights are not those of its configuration,
            or it needs code of its own.
    """
    if isinstance(source, str):
        source = hub.find(source)
    where = devices.choose_device(device)
    facts = read_facts(source)
    model = load_model(facts).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    made = XlnetNetwork if facts.model_type == "xlnet" and facts.causal else HfNetwork
    net = made(model.to(where), facts, batch_size=batch_size).eval()
    if facts.kind != "states":
        _require_parts(net)
    return HfContestant(
        net=net,
        tokenizer=facts.tokenizer,
        objective=objective or facts.objective,
        length=facts.length,
        num_parameters=sum(each.numel() for each in model.parameters()),
        facts=facts,
        source=source,
    )


def load_model(facts: HfFacts) -> Any:
    """Return the model of transformers with its weights, in float32.

    Args:
        facts: what is known of it.

    Raises:
        UserError: they are not those of its configuration.
    """
    source = facts.source
    source.weight_files()
    loader = getattr(hub.transformers(source.name), AUTO_CLASSES[facts.kind])
    safe = {"use_safetensors": True} if source.gguf is None else {}
    try:
        model, report = hub.from_pretrained(
            loader, source, **safe, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # each kind of damage has its own
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the weights of {source.name} cannot be loaded ({reason}): get all of its files again"
        ) from error
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing or report["mismatched_keys"]:
        found = missing[0] if missing else sorted(map(str, report["mismatched_keys"]))[0]
        how_many = len(missing) + len(report["mismatched_keys"])
        raise UserError(
            f"the weights of {source.name} are not those of its configuration, as {how_many} of "
            f"{type(model).__name__} are missing or of another shape ({found}): get all files of "
            "one model"
        )
    return model


@torch.no_grad()
def _require_parts(net: HfNetwork) -> None:
    """Make sure that body and head one after the other compute what the whole model does.

    Raises:
        UserError: they do not.
    """
    vocab = net.facts.tokenizer.vocab
    tokens = vocab.regular[:3][None].to(net.device)
    given: dict[str, Any] = {"input_ids": tokens}
    if net.decodes:
        given["decoder_input_ids"] = tokens
    whole = net.model(**given).logits[0].float()
    if net.decodes:
        encoded = net.model.get_encoder()(input_ids=tokens).last_hidden_state
        output = net.body(input_ids=tokens, encoder_hidden_states=encoded)
    else:
        output = net.body(input_ids=tokens)
    ours = parts.predict(net.__dict__["_head"], output.last_hidden_state[0], decodes=net.decodes)
    if not torch.allclose(whole, ours.float(), atol=CLOSE, rtol=CLOSE):
        raise UserError(
            f"{type(net.model).__name__} does more with its states than its head does, so "
            f"{net.facts.name} cannot be asked here: choose another model"
        )
