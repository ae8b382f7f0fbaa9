"""What the verbs print of results, sweeps and findings."""
