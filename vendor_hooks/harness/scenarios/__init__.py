"""MLPerf's load scenarios: LoadGen asks, the engine answers."""
