"""What a user sets: a run, a study, and their budgets."""
