"""Found against true: two Findings in, scores out."""
