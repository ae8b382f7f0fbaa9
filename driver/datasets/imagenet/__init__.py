"""Converts a dataset's published archive into the indexed layout: streamed, resumable, checked."""
