"""Sweeps on a real Slurm: the tests start its daemons, with nodes of their own on this machine."""
