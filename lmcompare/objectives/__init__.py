"""The pre-training objectives: one file each, and their union.

To add one: write its file, and name it in `_Union`.
"""

from functools import cache
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, TypeAdapter

from lmcompare.errors import UserError, did_you_mean
from lmcompare.objectives.bart import Bart
from lmcompare.objectives.base import HfClass, Objective
from lmcompare.objectives.clm import Clm
from lmcompare.objectives.fim import Fim
from lmcompare.objectives.glm import Glm
from lmcompare.objectives.hybrid import Hybrid, MixturePart
from lmcompare.objectives.mdlm import Mdlm
from lmcompare.objectives.mlm import Mlm
from lmcompare.objectives.mntp import Mntp
from lmcompare.objectives.network import Network
from lmcompare.objectives.plm import Plm
from lmcompare.objectives.prefix import Prefix
from lmcompare.objectives.scoring_types import EVERY, Form, Likelihood, Protocol, Question, Scoring
from lmcompare.objectives.t5 import T5
from lmcompare.objectives.ul2 import Ul2

_Union = Clm | Mlm | Prefix | Plm | T5 | Bart | Glm | Mntp | Hybrid | Ul2 | Mdlm | Fim

OBJECTIVES: dict[str, type[Objective]] = {
    member.model_fields["name"].default: member for member in get_args(_Union)
}


# What people call the models that are trained so.
_MODELS = {
    **dict.fromkeys(("gpt", "gpt2", "gpt3", "llama", "causal", "autoregressive", "ar"), "clm"),
    **dict.fromkeys(("bert", "roberta", "modernbert", "masked"), "mlm"),
    "spanbert": "mlm with objective.select=span",
    **dict.fromkeys(("unilm", "prefixlm", "ulm"), "prefix"),
    **dict.fromkeys(("xlnet", "permuted", "permutation"), "plm"),
    **dict.fromkeys(("spancorruption", "mt5", "flant5"), "t5"),
    **dict.fromkeys(("denoising", "mbart"), "bart"),
    **dict.fromkeys(("chatglm", "blankinfilling"), "glm"),
    "llm2vec": "mntp",
    "gptbert": "hybrid",
    **dict.fromkeys(("llada", "diffusion", "maskeddiffusion", "mdm", "dlm", "dream"), "mdlm"),
    **dict.fromkeys(("fillinthemiddle", "infilling", "incoder", "starcoder"), "fim"),
}


def _from_name(given: Any) -> Any:
    if isinstance(given, str):
        given = {"name": given}
    name = given.get("name") if isinstance(given, dict) else None
    if isinstance(name, str) and name not in OBJECTIVES:
        plain = "".join(filter(str.isalnum, name.lower()))
        if plain in _MODELS:
            hint = f"what trains such a model is {_MODELS[plain]}"
        elif plain in OBJECTIVES:
            hint = f"did you mean '{plain}'?"
        else:
            hint = did_you_mean(name, OBJECTIVES)
        raise UserError(f"no objective is called '{name}': {hint}")
    return given


# what a configuration may hold: an objective's name, or a table with its name and hyper-parameters
AnyObjective = Annotated[_Union, Field(discriminator="name"), BeforeValidator(_from_name)]
_adapter: TypeAdapter[Objective] = TypeAdapter(AnyObjective)


def parse_objective(given: Any) -> Objective:
    """Return the objective of a name, or of a table with its name and hyper-parameters.

    Raises:
        UserError: there is none of this name.
        ValidationError: it has no such hyper-parameter, or not with this value.
    """
    return _adapter.validate_python(given)


@cache
def all_scorings() -> frozenset[str]:
    """Return the names of all scorings that any objective has."""
    members = OBJECTIVES.values()
    return frozenset(name for member in members for name in member.model_validate({}).scorings)


__all__ = [
    "EVERY",
    "OBJECTIVES",
    "T5",
    "AnyObjective",
    "Bart",
    "Clm",
    "Fim",
    "Form",
    "Glm",
    "HfClass",
    "Hybrid",
    "Likelihood",
    "Mdlm",
    "MixturePart",
    "Mlm",
    "Mntp",
    "Network",
    "Objective",
    "Plm",
    "Prefix",
    "Protocol",
    "Question",
    "Scoring",
    "Ul2",
    "all_scorings",
    "parse_objective",
]
