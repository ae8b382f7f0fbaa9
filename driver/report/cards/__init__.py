"""Cards of one kind beside each other: their spread, and their rows in a report."""
