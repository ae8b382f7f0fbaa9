"""The project's own code inside a vendor's container: it owns the clock (Python 3.7, stdlib + numpy)."""
