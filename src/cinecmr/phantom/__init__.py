"""A synthetic beating heart with exactly known anatomy, volumes and motion."""
