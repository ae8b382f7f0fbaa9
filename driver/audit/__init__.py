"""Do the figures of a result hold, with every check at its strictest."""
