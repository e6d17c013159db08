"""Requests that arrive one after another: erased, verified and scored in turn, and withdrawn."""
