"""Installs wheels with the standard library alone: the driver's own environment is made with it."""
