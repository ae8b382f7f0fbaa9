"""Figures that others printed: rendered digit for digit, recomputed, and searched for contradictions.

Pure apart from reading the two manifests of a case folder that the caller names.
"""
