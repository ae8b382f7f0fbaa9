"""The tests' language model: windows of tokens, as every case of generation has them."""

from harness.tasks.text_generation import TextGeneration

make_task = TextGeneration
