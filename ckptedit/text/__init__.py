"""Words to vectors: tokenizer, encoder, sentence frames, a lexicon, and subspaces of embeddings."""
