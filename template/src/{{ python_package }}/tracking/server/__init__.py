"""The tracking server: its address, the login, and what happens when it is away."""
