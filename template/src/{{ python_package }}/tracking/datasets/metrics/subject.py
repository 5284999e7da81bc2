"""Which model and which data a metric is about."""

from typing import TYPE_CHECKING, Any

from ..base import MlflowDataset

if TYPE_CHECKING:
    from ...run.inputs import Input
    from ..models.tracking import MlflowModelTrackingDataset


class SubjectedDataset(MlflowDataset):
    """A dataset of metrics, which may be about a model and about data.

    Attributes:
        model: the catalog's name of the model; None for the one that the pipeline says.
    """

    model: str | None = None
    _model: "MlflowModelTrackingDataset | None" = None
    _data: "Input | None" = None

    def about(
        self, model: "MlflowModelTrackingDataset | None", data: "Input | None"
    ) -> None:
        """Set the model and the data that the metrics are about."""
        self._model, self._data = model, data

    def _subject(self, run_id: str) -> dict[str, Any]:
        """Return arguments for MLflow's metrics, which name a model and a dataset."""
        handle = self._handle
        if handle is None or run_id != handle.run.info.run_id:
            return {}
        model_id = self._model.model_id if self._model else None
        found = {"model_id": model_id} if model_id else {}
        if self._data:
            found["dataset_name"] = self._data.name
            found["dataset_digest"] = self._data.digest
        return found
