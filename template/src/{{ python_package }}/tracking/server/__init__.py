"""The tracking server: where records go, and how they get there."""
