"""One file a verb: each takes parsed arguments, does one thing, and returns an exit code."""
