"""Text generation by the harness; a token is a byte."""

from harness.tasks.text_generation import TextGeneration

make_task = TextGeneration
