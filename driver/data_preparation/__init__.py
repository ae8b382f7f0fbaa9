"""From what a dataset's maker hands out to the one indexed layout: streamed, resumable, checked."""
