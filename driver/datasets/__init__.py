"""Datasets, weights and prompts on this host: located, checked and indexed."""
