"""Verbs that keep stacks, locks, schemas and folders: what a maintainer types."""
