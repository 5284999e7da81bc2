# Everything is installed into .venv; nothing else on the machine is touched.
.PHONY: check coverage demo docs engines generated licences lint mutants recording release screenshots serving test test-lowest test-serving test-slow updates

export DO_NOT_TRACK = 1
unexport PYTHONDONTWRITEBYTECODE  # what is compiled once stays so

PYTHON ?= python3
UV = .venv/bin/uv

.venv: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --quiet --python .venv/bin/python --group dev
	@touch .venv

demo: .venv  ## render a project, install it, run its pipeline, show the run, ask its model
	.venv/bin/python -m scripts.demo

test: .venv  ## everything that .ci/run asks for
	.venv/bin/python -m pytest

check: .venv  ## a minute: lint, types, layers, what is rendered, the module without servers
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m pytest tests/render tests/docs/test_decisions.py tests/docs/test_promises.py \
		tests/tracking/test_architecture.py tests/tracking/test_redaction.py \
		tests/tracking/config tests/tracking/terminal

engines: .venv  ## the real engines: Airflow, Dagster, Dask, loky, Prefect, Ray, Spark; Databricks' library
	$(UV) venv --quiet --clear .engines/airflow
	$(UV) pip install --quiet --python .engines/airflow "apache-airflow>=3,<4"
	$(UV) venv --quiet --clear .engines/dagster
	$(UV) pip install --quiet --python .engines/dagster "dagster>=1.12" "kedro-dagster>=0.8" --group dev
	$(UV) venv --quiet --clear .engines/prefect
	$(UV) pip install --quiet --python .engines/prefect "prefect>=3,<4"
	$(UV) venv --quiet --clear .engines/projects
	$(UV) pip install --quiet --python .engines/projects --group dev --group engines
	.engines/projects/bin/python -m pytest -n 2 --durations 0 --durations-min 5 tests/engines

coverage: .venv  ## make test, the lines that it does not reach, and a floor (in percent) for each part
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report --include '*/tracking/*' --fail-under 94
	.venv/bin/coverage report --include 'hooks/*' --fail-under 88
	.venv/bin/coverage report --include 'fleet/*' --fail-under 94

test-slow: .venv  ## environments and servers of their own, and more of what varies
	.venv/bin/python -m pytest -m slow
	UPDATES=24 .venv/bin/python -m pytest tests/update/test_property.py

test-lowest: .venv  ## the tracking module on the lowest versions that a project allows
	$(UV) venv --quiet --clear .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --group dev
	.venv-lowest/bin/python -m pytest tests/tracking

test-serving: .venv  ## serve a pipeline in an environment of its own requirements
	.venv/bin/python -m pytest -n 0 tests/e2e/serving_environment.py

lint: .venv  ## what pre-commit checks
	.venv/bin/pre-commit run --all-files

docs: .venv  ## build the website of docs/ into site/
	.venv/bin/python -m sphinx -W --keep-going -q -d .venv/doctrees docs site
	@echo "The website is at site/index.html"

generated: .venv  ## regenerate the schema of mlflow.yml, docs/reference/, the page of errors and the checksums
	.venv/bin/python -m scripts.generate

screenshots: .venv  ## take the pictures of the tutorial again, with Chromium
	$(UV) pip install --quiet --python .venv/bin/python --group screenshots
	.venv/bin/python -m docs.screenshots

recording: .venv  ## record the first minute in a terminal again
	$(UV) pip install --quiet --python .venv/bin/python --group screenshots
	.venv/bin/python -m docs.recording

release: .venv  ## build the release VERSION into dist/, with its notes
	.venv/bin/python -m scripts.release $(VERSION)

licences: .venv  ## what a default project installs, and its licences: docs/reference/licences.md
	.venv/bin/python -m scripts.licences

updates: .venv  ## try 500 updates of edited projects, and keep the figures
	.venv/bin/python benchmarks/updates.py

mutants: .venv  ## change the tracking code a little and test it: what does no test notice?
	$(UV) pip install --quiet --python .venv/bin/python --group mutation
	.venv/bin/python -m scripts.mutants $(ARGS)

serving: .venv  ## serve a pipeline beside kedro-mlflow, and keep the figures
	.venv/bin/python -m benchmarks.serving
