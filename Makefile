# Everything is installed into .venv; nothing else on the machine is touched.
.PHONY: demo test test-lowest lint schema

export DO_NOT_TRACK = 1

PYTHON ?= python3
UV = .venv/bin/uv

.venv: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python .venv/bin/python --group dev
	@touch .venv

demo: .venv  ## render a project, install it, run its pipeline, show the run
	.venv/bin/python demo.py

test: .venv  ## everything that .ci/run asks for
	.venv/bin/python -m pytest

test-lowest: .venv  ## the tracking module on the lowest versions that a project allows
	$(UV) venv --quiet --clear .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --group dev
	.venv-lowest/bin/python -m pytest tests/tracking

lint: .venv  ## what pre-commit checks
	.venv/bin/pre-commit run --all-files

schema: .venv  ## regenerate the JSON schema of mlflow.yml from the models
	PYTHONPATH="template/src/{{ python_package }}" .venv/bin/python -c "import json, pathlib; \
	from tracking.config import json_schema; \
	text = json.dumps(json_schema(), indent=2) + '\n'; \
	pathlib.Path('template/conf/mlflow.schema.json').write_text(text)"
