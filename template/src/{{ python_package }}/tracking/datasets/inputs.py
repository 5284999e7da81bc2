"""Describe the data that a pipeline loads from outside, without loading them."""

import hashlib
import json
import posixpath
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.io.core import get_protocol_and_path
from kedro.pipeline import Pipeline

from ..config.options import RecordOptions
from ..redaction import without_secrets
from ..run.inputs import Input
from ..run.source import Source, blobs, short_digest, without_any_login
from ..run.story import optional
from . import inner_dataset
from .base import MlflowDataset
from .files import file_system
from .lineage import Lineage

_DIGEST = 36  # characters that MLflow takes
_ADDRESSES = ("url", "table", "table_name", "dataset_name", "sql", "database")
_DELTA = "_delta_log"  # the folder in which each version of a Delta table has a file
_REMOTE = ("ETag", "etag", "md5Hash", "generation", "content_md5", "version_id")


def external_inputs(
    pipeline: Pipeline,
    catalog: "CatalogProtocol[Any, Any]",
    lineage: Lineage,
    options: RecordOptions,
    source: Source | None,
    project_path: Path,
) -> dict[str, Input]:
    """Return what a pipeline loads from outside: no parameters, nothing in memory.

    A file whose digest is made of metadata is not opened. Whatever cannot be found out
    is left out, since the node that loads it has the better error.

    Args:
        pipeline: the pipeline that is about to run.
        catalog: its catalog.
        lineage: what its datasets are made of.
        options: ``tracking.record``.
        source: the state of the project's repository.
        project_path: the project's root, to which addresses are relative.
    """
    found: dict[str, Any] = {}
    if not options.inputs:
        return {}
    for name in sorted(pipeline.inputs()):
        dataset = inner_dataset(catalog.get(name)) if name in catalog else None
        is_parameter = name == "parameters" or name.startswith("params:")
        if dataset is None or is_parameter or isinstance(dataset, MemoryDataset):
            continue
        found[name] = getattr(dataset, "inner", dataset)
    result: dict[str, Input] = {}
    with optional("inputs"):
        files = {name: StoredFile(dataset) for name, dataset in found.items()}
        local = [path for file in files.values() if (path := file.local)]
        in_git = blobs(source, local) if source else {}
        for name, dataset in found.items():
            described = _described(dataset, files[name], options.digest, in_git)
            about, digest, (source_type, address) = described
            if (path := files[name].local) and path.is_relative_to(project_path):
                address = {"uri": path.relative_to(project_path).as_posix()}
            context = "training" if lineage.trains(name) else "input"
            tags = {"mlflow.data.context": context, "kedro.type": _kind(dataset)}
            words = (digest[:_DIGEST], source_type, address, {**tags, **about})
            result[name] = Input(name, *words)
    return result


class StoredFile:
    """The file or folder of a dataset, in the version that Kedro resolves.

    Attributes:
        url: its address; empty if the dataset has none.
        version: its version; empty if it has none.
        local: its path; None if it is remote.
    """

    def __init__(self, dataset: Any) -> None:
        self.config: Mapping[str, Any] = {}
        if hasattr(dataset, "_init_args"):
            self.config = dataset._init_args
        self.version, self.url, self.local = "", "", None
        path = self.config.get("filepath") or self.config.get("path")
        if not isinstance(path, str | Path) or isinstance(dataset, MlflowDataset):
            return
        protocol, root = get_protocol_and_path(str(path), self.config.get("version"))
        if self.config.get("version"):
            with suppress(Exception):  # the node that loads it says what is wrong
                self.version = dataset.resolve_load_version() or ""
            if self.version:
                root = posixpath.join(root, self.version, posixpath.basename(root))
        self.url = root if protocol == "file" else f"{protocol}://{root}"
        self.protocol = protocol
        self.local = Path(root).absolute() if protocol == "file" else None


def _described(
    dataset: Any, file: StoredFile, digest: str, in_git: Mapping[Path, str]
) -> tuple[dict[str, str], str, tuple[str, dict[str, str]]]:
    """Return tags, a digest and an address."""
    if not file.url:
        address = _address(file.config, dataset)
        return {}, short_digest(json.dumps(address)), (_kind(dataset), address)
    tags = {"kedro.version": file.version}
    address = {"uri": without_any_login(file.url)}
    where = "local" if file.local else "http" if file.protocol == "https" else ""
    where = where or file.protocol
    if where == "http":
        address = {"url": address["uri"]}
    with suppress(Exception):  # a store that is closed to us, or far away
        if digest == "content":
            return {**tags, "digest": "content"}, _content(file), (where, address)
        made_of, found = _metadata(file, in_git)
        tags["digest"] = made_of
        return tags, found, (where, address)
    return tags, short_digest(f"{file.url} {file.version}"), (where, address)


def _metadata(file: StoredFile, in_git: Mapping[Path, str]) -> tuple[str, str]:
    """Return what tells a file's content from others, and what that is made of."""
    if path := file.local:
        pinned = (file.config.get("load_args") or {}).get("version")
        if pinned is not None and (path / _DELTA).is_dir():
            return "load_args: version", f"{pinned:020}"
        return local_metadata(path, in_git.get(path))
    fs, name = file_system(file.url, file.config)
    info = fs.info(name)
    for key in _REMOTE:
        if value := info.get(key):
            return key, str(value).strip('"')[:_DIGEST]
    changed = info.get("LastModified") or info.get("mtime") or info.get("created")
    return "size and time", short_digest(f"{info.get('size')} {changed}")


def local_metadata(path: Path, blob: str | None = None) -> tuple[str, str]:
    """Return what tells a local file or folder from others, and what that is made of.

    Args:
        path: the file or folder.
        blob: git's hash of it, if it is as in the commit.
    """
    dvc = path.with_name(f"{path.name}.dvc")
    if dvc.is_file() and (out := yaml.safe_load(dvc.read_text("utf-8"))["outs"][0]):
        if md5 := out.get("md5"):
            return "dvc", md5
    if blob:
        return "git", blob[:16]
    if (log := path / _DELTA).is_dir():
        versions = (file.stem for file in log.glob("*.json"))
        return "delta", max(filter(str.isdigit, versions), default="")
    if path.is_dir():
        states = [_state(f, path) for f in sorted(path.rglob("*")) if f.is_file()]
        return "size and time", short_digest("\n".join(states))
    when = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    made_of = f"size {path.stat().st_size}, changed {when:%Y-%m-%d %H:%M:%S}"
    return made_of, short_digest(_state(path, path.parent))


def _state(file: Path, top: Path) -> str:
    stat = file.stat()
    return f"{file.relative_to(top).as_posix()} {stat.st_size} {stat.st_mtime_ns}"


def _content(file: StoredFile) -> str:
    fs, name = file_system(file.url, file.config)
    whole = hashlib.sha256()
    for each in sorted(fs.find(name)):
        whole.update(posixpath.relpath(each, name).encode())
        with fs.open(each, "rb") as content:
            while part := content.read(1 << 20):
                whole.update(part)
    return whole.hexdigest()[:32]


def _address(config: Mapping[str, Any], dataset: Any) -> dict[str, str]:
    """Return what says where data without a file are: a table, a query, an address."""
    found = {key: str(config[key]) for key in _ADDRESSES if config.get(key)}
    if isinstance(dataset, MlflowDataset):
        found = {k: str(v) for k, v in dataset._describe().items() if v is not None}
    clean = {key: without_secrets(value) for key, value in found.items()}
    return {k: without_any_login(v) if k == "url" else v for k, v in clean.items()}


def _kind(dataset: Any) -> str:
    """Return a dataset's type as the catalog names it."""
    kind = type(dataset)
    parts = kind.__module__.split(".")
    if parts[0] == "kedro_datasets":
        return f"{parts[1]}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__name__}"
