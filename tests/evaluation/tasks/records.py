"""Records of tasks, of which only some facts matter."""

from lmcompare.evaluation.tasks.record import TaskRecord


def record_of(**changes: object) -> TaskRecord:
    """Return a result of a classification that learned from examples."""
    known = {
        "task": "kinds",
        "arm": "clm",
        "seed": 0,
        "source": "kinds.jsonl",
        "text": "cafe" * 8,
        "step": 20,
        "kind": "classification",
        "group": "understanding",
        "version": 2,
        "protocol": "all",
        "metric": "accuracy",
        "chance": 0.5,
        "num_items": 41,
        "value": 0.75,
        "settings": {"learning rate": 1e-3, "steps at most": 3000.0},
    }
    return TaskRecord.model_validate({**known, **changes})
