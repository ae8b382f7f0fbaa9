"""A sweep on a scheduler, without one: the ledger, the parsers, the plan."""
