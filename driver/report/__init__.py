"""The report: one HTML file that opens offline, and the same data as Markdown, CSV and Parquet."""
