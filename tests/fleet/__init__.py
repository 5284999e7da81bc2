"""The fleet command, on real repositories."""
