"""Load scenarios in tables."""
