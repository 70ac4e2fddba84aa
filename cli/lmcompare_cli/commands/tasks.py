"""`lmcompare tasks`."""

from lmcompare.blocks import names, words
from lmcompare_cli import options
from lmcompare_cli.console import print_json, say
from lmcompare_cli.rendering.tables import print_table


def tasks(format: options.Format = "table") -> None:
    """List the benchmarks that `lmcompare eval --tasks` knows, and the files that they want."""
    from lmcompare.evaluation.tasks.registry import known

    found = known().values()
    if format == "json":
        rows = [{**task.model_dump(), "about": task.about} for task in found]
        print_json(rows)
        return
    print_table(
        [*names("task"), *words("group", "kind", "asks", "files", "paper")],
        (
            [task.name, task.group, task.kind, task.about, task.source, task.paper]
            for task in sorted(found, key=lambda task: (task.group, task.name))
        ),
    )
    say(
        "Put the files into one folder and name it with --task-data. The tasks likelihood, "
        "infilling and generation need none."
    )
