"""How a stage ended: what its report may claim, and whom a failure is attributed to."""
