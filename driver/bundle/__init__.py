"""Bundles: one file that an air-gapped lab takes in, checks, runs, and reports from (docs/bundles.md)."""
