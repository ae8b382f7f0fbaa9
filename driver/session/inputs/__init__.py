"""What a job takes in: its dataset, weights and exports, located or made."""
