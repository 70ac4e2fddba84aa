"""A treebank of sentences such as "the cat saw a dog"."""

from pathlib import Path

FORMS = {
    "DET": ("the", "a"),
    "NOUN": ("cat", "dog", "tree", "café"),
    "VERB": ("saw", "ran", "slept"),
}


def block(number: int, *, text: bool = False) -> str:
    """The lines of a sentence "the cat saw a dog", or its text."""
    state, rows = 12_345 + 7919 * number, []
    for n, (upos, head, relation) in enumerate(
        [
            ("DET", 2, "det"),
            ("NOUN", 3, "nsubj"),
            ("VERB", 0, "root"),
            ("DET", 5, "det"),
            ("NOUN", 3, "obj"),
        ],
        1,
    ):
        state = (1103515245 * state + 12345) % 2**31
        form = FORMS[upos][(state >> 16) % len(FORMS[upos])]
        rows.append(form if text else f"{n}\t{form}\t_\t{upos}\t_\t_\t{head}\t{relation}\t_\t_")
    return " ".join(rows) if text else "\n".join(rows)


def write_treebank(folder: Path, *, name: str) -> Path:
    """Write files of 60, 20 and 30 sentences."""
    folder.mkdir()
    start = 0
    for part, num in (("train", 60), ("dev", 20), ("test", 30)):
        blocks = [block(number) for number in range(start, start + num)]
        path = folder / f"{name}-{part}.conllu"
        path.write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
        start += num
    return folder
