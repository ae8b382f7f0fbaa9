"""The driver: the program on the host that plans jobs, runs their stages and books what they left."""

__version__ = "0.1.0"
