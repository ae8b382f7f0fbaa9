"""Mutants of Assay: single changes of its code, each of which some test must notice."""
