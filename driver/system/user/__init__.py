"""The user: the command that they typed, and the terminal that they read."""
