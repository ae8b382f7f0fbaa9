"""The verbs of a sweep on a scheduler: submit, follow, cancel, and the task on its node."""
