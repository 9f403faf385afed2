"""A model put into use: exported, served, watched."""
