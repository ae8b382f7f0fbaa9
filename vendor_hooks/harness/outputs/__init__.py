"""What a stage leaves in its out folder: checked predictions, samples, progress.json, report.json."""
