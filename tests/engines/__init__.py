"""Tests on real engines, which ``make engines`` installs and runs."""
