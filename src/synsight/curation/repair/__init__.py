"""Captions cleaned, borrowed or made anew, and the better one kept; the verb is in `repairing`."""
