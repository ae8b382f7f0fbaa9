"""The verbs, one file each: every verb takes parsed arguments and returns an exit code."""
