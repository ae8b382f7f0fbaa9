"""The details of the rows: read from their results, packed, and kept for the next report."""
