"""What the core loop of a language model says: times of prefills and decode steps."""
