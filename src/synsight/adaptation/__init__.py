"""Few-label estimators over frozen embeddings, in one scikit-learn shape."""
