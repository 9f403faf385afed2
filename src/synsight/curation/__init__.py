"""Audit and repair of what a catalog holds: images, captions, splits."""
