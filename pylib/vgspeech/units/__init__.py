"""Discrete units: codes of caption frames, and how well they detect words."""
