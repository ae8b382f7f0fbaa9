"""What a build takes: its context, and what is made ahead of it in a process beside ours."""
