"""Models of Hugging Face stand beside runs: asked, kept and found again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lmcompare import api
from lmcompare.errors import UserError
from lmcompare.evaluation.generation.record import GenerationRecord
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.hub import HfSource
from lmcompare.paths import cache_folder
from lmcompare.runs.finding import find_models
from lmcompare.runs.loaded_model import load_model, untrained
from lmcompare.runs.places import find_places
from lmcompare.runs.run import Run
from tests.published import LENGTH, publish
from tests.tiny import Command, flags, sentences, the_error

GENERATE = ["--tasks", "generation", "--texts", "2", "--prompt-tokens", "4", "--new-tokens", "6"]


@pytest.fixture
def folder(command: Command) -> Path:
    """A causal model, in the folder where commands are typed."""
    return publish("causal", Path("tiny"))


@pytest.fixture
def text() -> list[str]:
    Path("held.txt").write_text(sentences(31, seed=7), encoding="utf-8")
    return ["--data", "held.txt"]


def only() -> Run:
    [path] = Path("experiments").glob("*/hf-*")
    return Run(path)


def test_it_is_measured_kept_and_compared(command: Command, folder: Path, corpus: Path) -> None:
    assert command("train", "-o", "clm", *flags(corpus), "--study", "first").code == 0
    said = command("eval", "experiments/first", "hf:tiny", "--limit", "300")
    assert said.code == 0, said
    run = only()
    record = run.record()
    assert run.path.parent == Path("experiments/first"), "beside the runs that are named with it"
    assert run.path.name == f"hf-tiny-{record.imported.weights[:8]}"
    assert record.imported.source == f"hf:{folder.resolve()}"
    assert record.imported.architecture == "GPT2LMHeadModel"
    assert record.imported.longest == LENGTH
    assert record.imported.special_tokens["bos"] == "<|endoftext|>"
    [found] = run.results.read(LikelihoodRecord)
    assert (found.likelihood, found.unigram_nats, found.trigram_nats) == ("exact", None, None)
    [trained] = Path("experiments/first").glob("clm-*")
    [own] = Run(trained).results.read(LikelihoodRecord)
    assert found.text != own.text, "as their tokens are unlike"
    assert (found.source, found.bytes_hash) == ("validation", own.bytes_hash), "of the same bytes"
    before = found.model_dump()
    assert command("eval", "hf:tiny", "--study", "first", "--limit", "300").code == 0
    [again] = run.results.read(LikelihoodRecord)
    assert again.model_dump() == before, "what was measured is not measured again"
    shutil.rmtree(folder)
    said = command("compare", "experiments/first", "--table", "likelihood,control")
    assert said.code == 0, "without the weights"
    [row] = [line for line in said.out.splitlines() if line.startswith("hf:tiny: clm")]
    assert "elsewhere" in row
    section = said.out[said.out.index("exact: ") :]
    assert section.index("hf:tiny") < section.index("pseudo") if "pseudo" in section else True
    assert "Not held equal: training (here: clm; elsewhere, so" in " ".join(said.out.split())
    gone = the_error(command("eval", run.path, "--limit", "300"))
    assert gone.startswith(f"the weights of {run.path} are not where they were")


def test_its_likelihood_is_what_transformers_computes(folder: Path, text: list[str]) -> None:
    import torch
    import transformers

    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    Path("held.txt").write_text("The old cat ran to the tree.\n", encoding="utf-8")
    [(_, record)] = api.evaluate("hf:tiny", data="held.txt")
    ids = [tokenizer.bos_token_id, *tokenizer("The old cat ran to the tree.")["input_ids"]]
    with torch.no_grad():
        logits = theirs(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    nats = -sum(float(logits[place, token]) for place, token in enumerate(ids[1:]))
    assert record.nats == pytest.approx(nats, abs=1e-4)
    assert record.num_bytes == len("The old cat ran to the tree.")


def test_as_it_started_is_not_known(folder: Path, text: list[str]) -> None:
    [run] = find_models(find_places([Path("hf:tiny")]), warn=pytest.fail)
    assert run.path.parent == Path("experiments/default")
    model = load_model(run, device="cpu", warn=pytest.fail)
    assert untrained(model) == []
    assert (model.step, model.arm, model.length) == (-1, "hf:tiny", LENGTH)
    assert not model.trained.known
    assert not model.trained.shares_text_with(model.trained)


def test_a_text_must_be_named_or_be_that_of_the_study(command: Command, folder: Path) -> None:
    error = the_error(command("eval", "hf:tiny"))
    assert error == (
        f"hf:{folder.resolve()} has no text of its own, and is asked about that of the study "
        "default: this has none, as it holds no run that was trained here; name one with --data"
    )


def test_weights_that_have_changed_are_not_taken_for_the_others(
    command: Command, folder: Path, text: list[str]
) -> None:
    assert command("eval", "hf:tiny", *text).code == 0
    run = only()
    publish("causal", folder, seed=1)
    error = the_error(command("eval", run.path, *text))
    assert "have changed since" in error
    assert command("eval", "hf:tiny", *text).code == 0
    assert len([*Path("experiments/default").glob("hf-tiny-*")]) == 2


def test_weights_that_stay_are_hashed_once(
    command: Command, folder: Path, text: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("eval", "hf:tiny", *text).code == 0
    with monkeypatch.context() as context:
        context.setattr(HfSource, "weights_hash", lambda self: pytest.fail("read once more"))
        assert command("eval", "hf:tiny", *text).code == 0
    for kept in (cache_folder() / "weights").iterdir():
        kept.write_text("damaged", encoding="utf-8")
    assert command("eval", "hf:tiny", *text).code == 0


def test_another_tokenizer_is_not_taken_for_the_other(
    command: Command, folder: Path, text: list[str]
) -> None:
    assert command("eval", "hf:tiny", *text).code == 0
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["pre_tokenizer"]["add_prefix_space"] = True
    file.write_text(json.dumps(content), encoding="utf-8")
    error = the_error(command("eval", "hf:tiny", *text))
    assert "another tokenizer" in error
    assert "lmcompare rm" in error


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("hf:", "names no model"),
        ("hf:./nowhere", "there is no folder './nowhere'"),
        ("hf:held.txt", "is a file"),
        ("hf:.", "holds no model of Hugging Face"),
    ],
)
def test_what_is_no_model_is_one_line_and_makes_no_folder(
    command: Command, text: list[str], named: str, words: str
) -> None:
    assert words in the_error(command("eval", named, *text))
    assert not Path("experiments").exists()


def test_weights_in_another_format_are_refused(command: Command, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    error = the_error(command("eval", "hf:tiny", "--data", "tiny/config.json"))
    assert "save_pretrained" in error
    assert not Path("experiments").exists()


def test_a_checkpoint_or_an_export_of_it_is_refused(
    command: Command, folder: Path, text: list[str]
) -> None:
    error = the_error(command("export", "hf:tiny", "out"))
    assert "was trained elsewhere" in error
    assert not Path("out").exists()


def test_what_only_reads_says_why_it_is_not_asked(command: Command, text: list[str]) -> None:
    publish("encoder", Path("states"))
    tasks = "likelihood,infilling,lexical"
    said = command("eval", "hf:states", *text, "--tasks", tasks, "--texts", "2", "--length", "12")
    assert said.code == 0, "what cannot be asked stops no other"
    why = "it has no head that predicts tokens, and can only be read"
    assert f"likelihood: no text can be asked for: {why}" in " ".join(said.err.split())
    assert "lexical: what it was trained on is not known" in " ".join(said.err.split())
    found = only().results.read(InfillingRecord)
    assert {each.reason for each in found} == {
        f"no holes can be asked for: {why}",
        f"no continuation can be asked for: {why}",
    }
    assert the_error(command("generate", "hf:states", "-p", "a")).startswith("it does not write")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masked", "t5", "bart", "encoder"])
def test_every_kind_goes_through_every_evaluation(
    command: Command, text: list[str], kind: str
) -> None:
    publish("causal", Path("tiny"))
    publish(kind, Path("other"))
    sizes = ["--texts", "2", "--length", "12", "--prompt-tokens", "4", "--new-tokens", "6"]
    tasks = "likelihood,infilling,generation,speed,context,geometry,attention"
    said = command("eval", "hf:other", *text, "--tasks", tasks, *sizes, "--num-words", "40")
    assert said.code == 0, said.err
    Path("tasks.toml").write_text(
        '[pairs]\nkind = "pairs"\ngroup = "grammar"\nfiles = ["pairs.tsv"]\n'
        '[labels]\nkind = "classification"\ngroup = "understanding"\n'
        'train = ["labels.tsv"]\ntest_every = 4\n',
        encoding="utf-8",
    )
    Path("pairs.tsv").write_text(
        "sentence_good\tsentence_bad\na cat ran\ta cats ran\nthe dog saw\tthe dog see\n",
        encoding="utf-8",
    )
    rows = [f"the {one} {two}\t{number % 2}\n" for number, (one, two) in enumerate(_PAIRS)]
    Path("labels.tsv").write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    options = ["--task-data", ".", "--train-examples", "8"]
    said = command("eval", "hf:other", "--tasks", "tasks.toml", *options)
    assert said.code == 0, said.err
    Path("bank.conllu").write_text(_TREEBANK, encoding="utf-8")
    said = command("probe", "hf:other", "--treebank", "bank.conllu", "--tasks", "upos")
    assert said.code == 0, said.err
    said = command("similarity", "hf:other", "hf:tiny", *text, "--num-words", "40")
    assert said.code == 0, said.err
    said = command("generate", "hf:other", "-p", "the ___ ran", "--hole-tokens", "2", "--greedy")
    assert (said.code == 0) == (kind != "encoder"), said.err
    [run] = [Run(path) for path in Path("experiments/default").glob("hf-other-*")]
    [written] = run.results.read(GenerationRecord)
    assert (written.reason is None) == (kind != "encoder")
    said = command("compare", "--table", "all")
    assert said.code == 0, said.err
    assert "hf:other" in said.out


_PAIRS = [
    (one, two) for one in ("old", "new", "red", "big") for two in ("cat", "dog", "sun", "ant")
]
_TREEBANK = "".join(
    f"1\tThe\tthe\tDET\t_\t_\t2\tdet\t_\t_\n2\t{noun}\t{noun}\tNOUN\t_\t_\t3\tnsubj\t_\t_\n"
    f"3\t{verb}\t{verb}\tVERB\t_\t_\t0\troot\t_\t_\n\n"
    for noun in ("cat", "dog", "sun", "bee", "ant", "fox")
    for verb in ("runs", "sleeps", "falls", "sits", "goes")
)


@pytest.mark.slow
def test_it_judges_what_others_write(command: Command, folder: Path, corpus: Path) -> None:
    assert command("train", "-o", "clm", *flags(corpus), "--study", "first").code == 0
    said = command("eval", "experiments/first", *GENERATE, "--judge", "hf:tiny")
    assert said.code == 0, said.err
    assert "trained on another text" in " ".join(said.err.split())
    [trained] = Path("experiments/first").glob("clm-*")
    [written] = Run(trained).results.read(GenerationRecord)
    assert written.judge_bits_per_byte > 0


@pytest.mark.slow
def test_a_study_of_several_texts_has_none_for_it(
    command: Command, folder: Path, corpus: Path, text: list[str]
) -> None:
    Path("more.txt").write_text(sentences(307, seed=9), encoding="utf-8")
    for each in (corpus, Path("more.txt")):
        assert command("train", "-o", "clm", *flags(each), "--study", "first").code == 0
    error = the_error(command("eval", "hf:tiny", "--study", "first"))
    assert "this has different texts; name one with --data" in error


@pytest.mark.slow
def test_a_comparison_needs_no_transformers(
    command: Command, folder: Path, text: list[str]
) -> None:
    assert command("eval", "hf:tiny", *text).code == 0
    code = (
        "import sys\nfrom lmcompare import api\n"
        "print(api.compare(['experiments/default']))\n"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_program_names_it_too(folder: Path, text: list[str]) -> None:
    with pytest.raises(UserError, match="names no model"):
        api.load("hf:")
    assert [run.path for run in api.load("hf:tiny")] == [only().path]
