"""What reads a bundle: standard library only, Python 3.7, because every bundle carries a copy of it."""
