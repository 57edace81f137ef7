"""One study to Findings to a report."""
