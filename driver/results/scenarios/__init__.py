"""Load scenarios: LoadGen's logs, read by MLPerf's format, and the figures in them."""
