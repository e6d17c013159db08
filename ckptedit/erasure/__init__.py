"""Erasing concepts: a checkpoint and a request to an edit of its K/V weights.

method      request and weights in, edit out (`method.py`): a closed form, or an objective that
            is trained under guards
objectives/ what a training asks of the model     closed_forms/  edits without training
"""
