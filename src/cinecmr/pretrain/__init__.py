"""Learning without labels: one method a file."""
