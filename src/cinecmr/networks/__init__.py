"""Torch modules: they know shapes, not hearts."""
