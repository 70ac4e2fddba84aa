"""Models and tokenizers of Hugging Face: `hf:FOLDER-or-NAME[@revision]`, and where its files lie.

A folder on this machine comes first, then what the hub's own cache holds, then the hub. Weights are
read from safetensors or GGUF alone: other formats can run any code when they are read.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b, file_digest
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

from lmcompare import files
from lmcompare.errors import UserError
from lmcompare.paths import nearest, user_path

PREFIX = "hf:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_DESCRIBING = ("*.json", "*.txt", "*.model", "*.jinja")  # configuration and tokenizer
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")  # and not ours to read


@dataclass(frozen=True, kw_only=True)
class HfSource:
    """A folder with a model of Hugging Face.

    Attributes:
        name: what was asked for, `hf:` included.
        folder: where its files lie.
        revision: the branch, tag or commit that was asked for.
        gguf: the name of the file that holds everything, if it is one of GGUF.
    """

    name: str
    folder: Path
    revision: str | None = None
    gguf: str | None = None

    @property
    def short_name(self) -> str:
        """Return a name for tables and folders: the last part of the path or of the hub's name."""
        if self.gguf is not None:
            return Path(self.gguf).stem
        named, _ = _revised(self.name.removeprefix(PREFIX))
        last = self.folder.name if user_path(named).exists() else named.rsplit("/", 1)[-1]
        return last if self.revision is None else f"{last}@{self.revision}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return the content of `config.json`; nothing of a GGUF file, which has another.

        Raises:
            UserError: it is missing or damaged.
        """
        if self.gguf is not None:
            return {}
        return self.read_json("config.json", "give the folder of a model")

    def read_json(self, file: str, remedy: str) -> dict[str, Any]:
        """Return the content of one of its JSON files, an object.

        Args:
            file: its name.
            remedy: what to do where there is none.

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.folder / file
        if not path.is_file():
            raise UserError(f"{self.name} has no {file}: {remedy}")
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error}): get it again") from error
        if not isinstance(content, dict):
            raise UserError(f"{path} holds no object: get it again")
        return content

    def weight_files(self) -> list[Path]:
        """Return the files of its weights, in the order of their names.

        Raises:
            UserError: there are none that can be read safely.
        """
        if self.gguf is not None:
            return [self.folder / self.gguf]
        found = sorted(self.folder.glob("*.safetensors"))
        if not found:
            others = sorted(each.name for kind in _OTHER_WEIGHTS for each in self.folder.glob(kind))
            if others:
                raise UserError(
                    f"{self.name} has its weights in {others[0]} only, a format that can run any "
                    "code when it is read: where you trust it, load it with transformers once and "
                    "write it as safetensors with `model.save_pretrained(folder)`"
                )
            raise UserError(f"{self.name} has no weights (*.safetensors): get all of its files")
        return found

    def weights_hash(self) -> str:
        """Return the hash of its weights' files, in hex; it reads all of them."""
        total = blake2b(digest_size=16)
        for path in self.weight_files():
            with files.explained(path), path.open("rb") as file:
                total.update(file_digest(file, lambda: blake2b(digest_size=16)).digest())
        return total.hexdigest()


def is_hf(text: str) -> bool:
    """Tell whether a text names a model of Hugging Face."""
    return text.startswith(PREFIX)


def transformers(needed_by: str) -> Any:
    """Import transformers.

    Args:
        needed_by: what needs it, for the message.

    Raises:
        UserError: it is not installed.
    """
    return _extra("transformers", needed_by)


def gguf(needed_by: str) -> None:
    """Make sure that GGUF files can be read.

    Args:
        needed_by: what needs it, for the message.

    Raises:
        UserError: the package is not installed.
    """
    _extra("gguf", needed_by)


def from_pretrained(loader: Any, source: HfSource, **options: Any) -> Any:
    """Return what a class of transformers makes of a source: nothing is fetched, no code of it run.

    No bars are drawn and no warnings written; what is wrong, transformers raises.

    Args:
        loader: the class, which has a `from_pretrained`.
        source: where the files lie.
        options: what else the class is given.
    """
    if source.gguf is not None:
        options["gguf_file"] = source.gguf
    logging = import_module("transformers.utils.logging")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):  # that of GGUF has no other switch
            return loader.from_pretrained(
                source.folder, local_files_only=True, trust_remote_code=False, **options
            )
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def find(text: str, *, weights: bool = True) -> HfSource:
    """Return where the files of a model lie, and get them where they are not here.

    Args:
        text: `hf:FOLDER-or-NAME[@revision]`; a `.gguf` file may stand for its folder.
        weights: whether they are needed too, and not the configuration and the tokenizer alone.

    Raises:
        UserError: there is no such folder and no such model on the hub, or it cannot be had, or its
            weights are in a format that is not read.
    """
    named = text.removeprefix(PREFIX)
    if not named:
        raise UserError(f"'{text}' names no model: write {PREFIX}FOLDER or {PREFIX}NAME")
    path = user_path(named)
    if path.is_file() or path.is_dir():
        source = _on_disk(text, path)
    else:
        named, revision = _revised(named)
        source = _on_hub(text, named, revision, weights=weights)
    if weights:
        source.weight_files()
    return source


def _revised(named: str) -> tuple[str, str | None]:
    """Return a name and the revision after its last `@`."""
    if user_path(named).exists() or "@" not in named:
        return named, None
    name, _, revision = named.rpartition("@")
    return name, revision


def _on_disk(text: str, path: Path) -> HfSource:
    if path.is_file():
        if path.suffix != ".gguf":
            raise UserError(f"{path} is a file: name the folder it is in, or a .gguf file")
        return HfSource(name=text, folder=path.parent.resolve(), gguf=path.name)
    folder = path.resolve()
    if (folder / "config.json").exists() or any(
        (folder / file).exists() for file in _TOKENIZER_FILES
    ):
        return HfSource(name=text, folder=folder)
    with files.explained(folder):
        ggufs = sorted(each.name for each in folder.glob("*.gguf"))
    if len(ggufs) > 1:
        raise UserError(f"{path} holds {len(ggufs)} GGUF files: name one, such as {ggufs[0]}")
    if not ggufs:
        raise UserError(
            f"the folder {path} holds no model of Hugging Face, as it has no config.json: "
            "name another"
        )
    return HfSource(name=text, folder=folder, gguf=ggufs[0])


def _on_hub(text: str, named: str, revision: str | None, *, weights: bool) -> HfSource:
    """Return a model that the hub has under this name, from its cache where it lies there."""
    if not _NAME.fullmatch(named):
        close = nearest(user_path(named))
        hint = f"did you mean '{close}'?" if close else "give a folder, or a name of the hub"
        raise UserError(f"there is no folder '{named}': {hint}")
    hub = _extra("huggingface_hub", f"'{text}'")
    patterns = [*_DESCRIBING, *(("*.safetensors",) if weights else ())]

    def snapshot(*, local: bool) -> HfSource:
        folder = hub.snapshot_download(
            named, revision=revision, allow_patterns=patterns, local_files_only=local
        )
        return HfSource(name=text, folder=Path(folder), revision=revision)

    try:
        source = snapshot(local=True)
        complete = (source.folder / "config.json").exists()
        if complete and (not weights or any(source.folder.glob("*.safetensors"))):
            return source
    except Exception:  # whatever keeps the cache from having it: the hub is asked next
        pass
    with _explained(text, named, revision):
        source = snapshot(local=False)
    if weights and not any(source.folder.glob("*.safetensors")):
        with _explained(text, named, revision):
            others = sorted(each for each in hub.list_repo_files(named, revision=revision))
        held = next((each for each in others if Path(each).suffix == ".bin"), None)
        if held is not None:  # said as of a folder that holds it
            raise UserError(
                f"{text} has its weights in {held} only, a format that can run any code when it is "
                "read: where you trust it, load it with transformers once and write it as "
                "safetensors with `model.save_pretrained(folder)`"
            )
    return source


@contextmanager
def _explained(text: str, named: str, revision: str | None) -> Iterator[None]:
    """Say in one line why the hub does not give a model."""
    errors = import_module("huggingface_hub.errors")
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{text} is gated: ask for access on https://huggingface.co/{named}, then log in with "
            "`hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"{text} has no revision '{revision}': see https://huggingface.co/{named}/commits"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"there is no folder '{named}' here and no such model on the hub, or it is private: "
            "check the name, or log in with `hf auth login`"
        ) from error
    except Exception as error:  # of the network, of which each library raises its own
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        raise UserError(
            f"there is no folder '{named}' here, and the Hugging Face hub cannot be asked"
            f"{offline} ({reason}): give a folder, or connect to the network"
        ) from error


def _extra(module: str, needed_by: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"{needed_by} needs the package {module}: pip install 'lmcompare[hf]'"
        ) from error
