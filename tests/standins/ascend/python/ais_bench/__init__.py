"""Stand-in of ais_bench; see tests/standins/README.md."""

__assay_standin__ = True
__version__ = "0.0.2"
