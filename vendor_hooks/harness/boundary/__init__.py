"""The engine in a process of its own: messages, shared memory, what that process may reach."""
