"""Text generation by the harness, on the tokens that dataset.py made."""

from harness.tasks.text_generation import TextGeneration

make_task = TextGeneration
