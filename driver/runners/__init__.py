"""What executes a stage: docker, process or slurm."""
