"""``kedro-mlflow-fleet``: keep hundreds of projects on the template.

``fleet.yml`` names the projects. ``status`` shows where each stands, ``update`` brings a
version to a ring of them, ``promote`` opens the next ring, ``enforce`` is for CI.
"""
