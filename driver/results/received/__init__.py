"""What a stage left on this host, while it runs and after it: read, watched, refused."""
