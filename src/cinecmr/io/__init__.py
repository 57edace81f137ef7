"""Files in, Studies out; and Findings back into files. Never imports torch."""
