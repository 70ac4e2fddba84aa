"""Our models for lm-evaluation-harness, which asks them by its own tasks.

Gao et al., https://github.com/EleutherAI/lm-evaluation-harness. It knows causal models and
encoder-decoders of transformers; here each objective answers as it legitimately can.
"""

NAME = "lmcompare"  # as `--model` has it


def register() -> None:
    """Make our models known to the harness, which must be installed.

    It finds models of others in its own registry only, and so one must say this in its process.
    """
    from lm_eval import models  # noqa: F401 - fills the registry with its own
    from lm_eval.api.registry import model_registry

    if NAME not in model_registry:
        model_registry.register(NAME, target="lmcompare.harness.model:LMCompare")
