"""Every record of a run is on this machine first, then on its server."""
