"""This host: its processor and what control groups leave of it, its facts, the commit of the tree."""
