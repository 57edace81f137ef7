"""Experiments: found against true over many studies, printed and written as tables."""
