"""The three timed loops: core (batches in host memory), latency (single calls), whole (from files)."""
