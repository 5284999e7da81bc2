"""The error that a user of the fleet command sees."""

from __future__ import annotations

from click import ClickException
from tracking.redaction import without_secrets


class FleetError(ClickException):
    """A sentence that names what was found and what would be right, without a secret."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))
