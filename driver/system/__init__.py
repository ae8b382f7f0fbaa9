"""This host: files, processes, settings, hashes."""
