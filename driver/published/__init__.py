"""Figures that others printed: shown digit for digit, recomputed, and checked for contradictions.

Pure, apart from reading published.toml and case.toml in the case folders that the caller names.
"""
