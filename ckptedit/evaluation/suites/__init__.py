"""Suites: each file says what can be drawn, and how, as a `World`."""
