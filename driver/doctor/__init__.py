"""What a machine has and lacks for a vendor: facts are gathered once, then judged by pure checks."""
