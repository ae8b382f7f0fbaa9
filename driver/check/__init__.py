"""The checks of a vendor's or a case's folder; our own folders are tested with the same checks."""
