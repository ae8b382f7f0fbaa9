"""May two results be compared, and which is faster."""
