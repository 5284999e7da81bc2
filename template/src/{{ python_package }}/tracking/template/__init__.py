"""Which version of the template this project follows, and the scan for secrets.

The pre-commit hooks run this package too, in an environment without Kedro and MLflow."""
