"""`lmcompare tasks`."""

import json

from lmcompare_cli import options
from lmcompare_cli.console import output, talk
from lmcompare_cli.tables import print_table


def tasks(format: options.Format = "table") -> None:
    """List the benchmarks that `lmcompare eval --tasks` knows, and the files that they want."""
    from lmcompare.tasks.registry import known

    found = known().values()
    if format == "json":
        rows = [{**task.model_dump(), "about": task.about} for task in found]
        output.print(json.dumps(rows, indent=2), soft_wrap=True)
        return
    print_table(
        words=("task", "group", "kind", "asks", "files", "paper"),
        numbers=(),
        rows=(
            [task.name, task.group, task.kind, task.about, task.source, task.paper]
            for task in sorted(found, key=lambda task: (task.group, task.name))
        ),
    )
    talk.print("The files lie in --benchmarks; likelihood, infilling and generation want none.")
