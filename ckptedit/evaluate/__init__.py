"""A model to scores."""
