"""From folders of results to tables, pure but for reading: nothing is measured and nothing printed."""
