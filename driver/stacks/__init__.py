"""Prepares stacks: virtual environments, images, and interpreters of the host."""
