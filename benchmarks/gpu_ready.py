"""Whether this machine can do what `make gpu` wants; if not, one line says why.

Exit codes: 0 all of it; 1 only what a processor can check of it, as there is no GPU, or none that
will do; 2 nothing.
"""

import importlib.util
import sys
import warnings

NEEDED = {  # what is imported, and what it is called where it is fetched, if otherwise
    **dict.fromkeys(("numpy", "pandas", "pytest", "safetensors", "scipy", "tokenizers"), ""),
    **dict.fromkeys(("beartype", "filelock", "jaxtyping", "pydantic", "rich", "typer"), ""),
    **dict.fromkeys(("platformdirs", "tabulate"), ""),
    "annotated_types": "annotated-types",
    "pydantic_core": "pydantic-core",
    "tomli_w": "tomli-w",
    "typing_inspection": "typing-inspection",
    "wadler_lindig": "wadler-lindig",
    "xdist": "pytest-xdist execnet",
}
OLDEST = (2, 7)  # of PyTorch
GIB = 2**30
ROOM = 20 * GIB  # of a GPU's memory


def why_nothing() -> str | None:
    """What is missing even for a machine without a GPU."""
    if importlib.util.find_spec("torch") is None:
        return (
            "PyTorch is not installed for this Python: name one that has it (make gpu PYTHON=...)"
        )
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < OLDEST:
        return (
            f"PyTorch {torch.__version__} is too old, "
            f"{'.'.join(map(str, OLDEST))} or newer is needed: pip install --upgrade torch"
        )
    missing = {
        name: fetched or name
        for name, fetched in NEEDED.items()
        if importlib.util.find_spec(name) is None
    }
    if missing:
        return (
            f"{', '.join(missing)} missing: run `make gpu-wheels "
            f'GPU_PACKAGES="{" ".join(missing.values())}"` where packages can be fetched, '
            "and bring the folder .wheels here"
        )
    return None


def why_no_gpu() -> str | None:
    """Why nothing can be done on a GPU."""
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = torch.cuda.is_available()
    if not found and torch.version.cuda is None:
        return "no GPU is found here, and this PyTorch is built without CUDA"
    if not found:
        driver = [str(each.message) for each in said if "driver" in str(each.message)]
        why = driver[0].split("(Triggered")[0] if driver else "is there one, with a driver?"
        return f"no GPU is found here by a PyTorch for CUDA {torch.version.cuda}: {one_line(why)}"
    name = torch.cuda.get_device_name()
    try:
        square = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16)
        float((square @ square).sum())
    except RuntimeError as error:
        return f"{name} cannot run this PyTorch ({torch.__version__}): {one_line(str(error))}"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return f"{name} has no instructions for bfloat16, in which all is measured"
    free, total = torch.cuda.mem_get_info()
    if free < ROOM:
        return (
            f"{free / GIB:.0f} of {total / GIB:.0f} GiB of {name} are free, and "
            f"{ROOM / GIB:.0f} are needed: end what else uses it"
        )
    return None


def one_line(text: str, *, most: int = 200) -> str:
    """The beginning of a message, in a line."""
    return " ".join(text.split())[:most]


def main() -> int:
    """Say what is missing, and return the exit code."""
    for code, look in ((2, why_nothing), (1, why_no_gpu)):
        if reason := look():
            print(f"what needs a GPU (tests, speed, study) is skipped: {reason}")
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
