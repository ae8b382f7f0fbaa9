"""Does a rerun reproduce its original, by tolerances that were declared before it ran."""
