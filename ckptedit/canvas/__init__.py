"""mini's world: the picture generator, and the training of the model that is shipped."""
