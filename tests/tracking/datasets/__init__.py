"""The catalog's datasets."""
