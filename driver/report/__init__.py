"""The report: one HTML file that opens with the network off, and the same as Markdown, CSV and Parquet."""
