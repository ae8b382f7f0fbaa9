"""Container engines besides Docker as root, for real: `make test-engines`."""
