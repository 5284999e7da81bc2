"""What a model needs of the training run: files of the catalog, taken as they are."""

import shutil
from pathlib import Path
from typing import Any

from ..datasets.artifacts import MlflowArtifactDataset
from ..datasets.files import Files
from ..datasets.models import MlflowModelRegistryDataset, MlflowModelTrackingDataset

OF_UV = ("uv.lock", "pyproject.toml")
"""What MLflow copies of a uv project, of which nobody can restore an environment: the
project itself would be part of it."""

_MODELS = (MlflowModelTrackingDataset, MlflowModelRegistryDataset)


def is_stored(dataset: Any) -> bool:
    """Whether a dataset has files, which a model can take."""
    if dataset is None or isinstance(dataset, (*_MODELS, MlflowArtifactDataset)):
        return dataset is not None
    return not {"filepath", "path"}.isdisjoint(dataset._init_config())


def pack(name: str, dataset: Any, folder: Path) -> dict[str, Any]:
    """Copy an artifact into the folder of a model.

    Returns:
        How to load it from there, for JSON.
    """
    path = f"artifacts/{name}"
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(dataset, _MODELS):
        shutil.copytree(dataset._read(), target, ignore=shutil.ignore_patterns(*OF_UV))
        flavor, load_args = dataset._flavor.module, dataset._load_args
        return {"path": path, "flavor": flavor, "load_args": load_args}
    stored = None
    if isinstance(dataset, MlflowArtifactDataset):
        stored = dataset._read() if dataset._run_id else None
        dataset = dataset._dataset
    config = dataset._init_config()
    kind, versioned = config.pop("type"), config.pop("versioned", False)
    files = Files(config)
    if stored:
        copy = shutil.copytree if Path(stored).is_dir() else shutil.copy
        target.mkdir()
        copy(stored, target / files.name)
    else:
        files.copy_to(target, dataset.resolve_load_version() if versioned else None)
    kept = {k: v for k, v in files.at("").items() if k != "credentials"}
    return {"path": f"{path}/{files.name}", "dataset": {"type": kind, **kept}}
