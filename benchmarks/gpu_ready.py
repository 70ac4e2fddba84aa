"""Whether this machine can do what `make gpu` wants; if not, one line says why, and exit code 1."""

import importlib.util
import sys

NEEDED = {  # what is imported, and what it is called where it is fetched
    **{name: name for name in ("numpy", "pandas", "pytest", "safetensors", "scipy", "tokenizers")},
    **{name: name for name in ("beartype", "filelock", "jaxtyping", "pydantic", "pydantic_core")},
    **{name: name for name in ("annotated_types", "platformdirs", "rich", "tabulate", "tomli_w")},
    **{name: name for name in ("typer", "typing_inspection", "wadler_lindig")},
}
OLDEST = (2, 7)  # of PyTorch


def why_not() -> str | None:
    """What is missing."""
    if importlib.util.find_spec("torch") is None:
        return (
            "PyTorch is not installed for this Python: name one that has it (make gpu PYTHON=...)"
        )
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < OLDEST:
        return f"PyTorch {torch.__version__} is too old: 2.7 or newer is needed"
    if not torch.cuda.is_available():
        built = (
            "and this PyTorch is built without CUDA"
            if torch.version.cuda is None
            else ("or its driver is too old for CUDA " + torch.version.cuda)
        )
        return f"no GPU is found here, {built}"
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return (
            f"{', '.join(missing)} missing: run `make gpu-wheels` where packages can be fetched, "
            "and bring the folder .wheels here"
        )
    free, total = torch.cuda.mem_get_info()
    if free < 20 * 2**30:
        return f"{free / 2**30:.0f} of {total / 2**30:.0f} GiB of the GPU are free: 20 are needed"
    return None


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        print(f"what needs a GPU (tests, speed, study) is skipped: {reason}")
        sys.exit(1)
