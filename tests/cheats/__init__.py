"""Hooks that cheat, one an engine, and the verdict on each."""
