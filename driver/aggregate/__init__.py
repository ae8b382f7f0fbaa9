"""From folders of results to tables. Reads files; measures and prints nothing."""
