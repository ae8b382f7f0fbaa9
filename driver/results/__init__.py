"""What a job left: figures, gate, warnings, and how they are stored."""
