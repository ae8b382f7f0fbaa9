"""What the task.py of several cases share: preprocessing and scoring of image classification."""
