"""Verbs for labs without a network: write, load and verify a bundle, which is one file."""
