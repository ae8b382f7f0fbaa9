"""What a machine has and lacks for a vendor: facts gathered once, judged by pure checks."""
