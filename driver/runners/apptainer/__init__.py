"""Apptainer (or SingularityCE): the program, its command lines, what it gives a plain user, and the runner."""
