"""Findings to numbers with units: arrays in, what a cardiologist writes down out."""
