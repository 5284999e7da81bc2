"""What copier runs when an update crosses a version that cannot be merged."""
