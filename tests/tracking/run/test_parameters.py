"""How Kedro's parameters are logged to MLflow."""

from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from mlflow.utils.validation import (
    MAX_ENTITY_KEY_LENGTH,
    MAX_PARAM_VAL_LENGTH,
    MAX_TAG_VAL_LENGTH,
)
from tracking.config.options import ParamsOptions
from tracking.errors import TrackingError
from tracking.redaction import HIDDEN
from tracking.run.parameters import Params, pipeline_params


def logged(inputs: dict[str, Any], **options: Any) -> Params:
    def use(*_: object) -> None: ...

    pipeline = Pipeline([node(use, list(inputs), None, name="use")])
    catalog = DataCatalog({name: MemoryDataset(v) for name, v in inputs.items()})
    return pipeline_params(pipeline, catalog, ParamsOptions.model_validate(options))


FLAT = {"dict_params": {"flatten": True}}


def test_parameters_lose_their_prefix() -> None:
    given = {"params:a": 1, "params:b.c": 2, "parameters": {"a": 1}}
    assert logged(given).params == {"a": "1", "b.c": "2", "parameters": "{'a': 1}"}


def test_flatten_goes_down_and_keeps_empty_mappings() -> None:
    given = {"params:m": {"x": {"y": 1}, "none": {}}}
    assert logged(given, **FLAT).params == {"m.x.y": "1", "m.none": "{}"}


def test_flatten_stops_after_one_level_and_takes_another_separator() -> None:
    options = {"flatten": True, "recursive": False, "sep": "-"}
    given = {"params:m": {"x": {"y": 1}}}
    assert logged(given, dict_params=options).params == {"m-x": "{'y': 1}"}


def test_flat_names_that_collide_are_both_named() -> None:
    given = {"params:m": {"a.b": 1, "a": {"b": 2}}}
    with pytest.raises(TrackingError, match="'m > a.b' and 'm > a > b'.*'m.a.b'"):
        logged(given, **FLAT)


def test_the_same_parameter_by_two_ways_is_logged_once() -> None:
    given = {"params:m": {"a": 1}, "params:m.a": 1}
    assert logged(given, **FLAT).params == {"m.a": "1"}


def test_names_that_mlflow_refuses_are_changed() -> None:
    assert logged({"params:a": {"x@y": 1}}, **FLAT).params == {"a.x_y": "1"}


def test_limit_itself_is_fine() -> None:
    value = "x" * MAX_PARAM_VAL_LENGTH
    assert logged({"params:a": value}).params == {"a": value}


def test_fail_names_the_parameter_and_the_ways_out() -> None:
    with pytest.raises(TrackingError, match="'a' has .* 'truncate' or 'tag'"):
        logged({"params:a": "x" * (MAX_PARAM_VAL_LENGTH + 1)})


def test_truncate_cuts_to_the_limit() -> None:
    value = "x" * (MAX_PARAM_VAL_LENGTH + 1)
    result = logged({"params:a": value}, long_params_strategy="truncate")
    assert result.params == {"a": value[:-1]}


def test_tag_takes_what_is_too_long() -> None:
    value = "x" * (MAX_PARAM_VAL_LENGTH + 1)
    result = logged({"params:a": value}, long_params_strategy="tag")
    assert (result.params, result.tags, result.files) == ({}, {"a": value}, {})


def test_over_the_tag_limit_it_is_a_file() -> None:
    value = "x" * (MAX_TAG_VAL_LENGTH + 1)
    result = logged({"params:a": value}, long_params_strategy="tag")
    assert result.tags == {"a": value[:-1]}
    assert result.files == {"params/a.txt": value}


def test_secret_looking_names_are_redacted_at_any_depth() -> None:
    given = {"params:db": {"PassWord": "hunter2", "list": [{"my_token": "hunter2"}]}}
    for options in ({}, FLAT):
        assert "hunter2" not in str(logged(given, **options))
    assert logged(given, **FLAT).params["db.PassWord"] == HIDDEN


def test_what_is_redacted_can_be_chosen() -> None:
    given = {"params:max_tokens": 5, "params:iban": "DE1"}
    assert logged(given, redact=["iban"]).params == {
        "max_tokens": "5",
        "iban": HIDDEN,
    }


def test_secret_looking_values_are_redacted_under_any_name() -> None:
    given = {"params:db": {"uri": "postgresql://me:hunter2@db/x", "hosts": [1, 2]}}
    for options in ({}, FLAT):
        assert "hunter2" not in str(logged(given, **options))
    assert logged(given, **FLAT).params == {
        "db.uri": "postgresql://me:***@db/x",
        "db.hosts": "[1, 2]",
    }


def test_numbers_of_tokens_are_no_secret() -> None:
    given = {"params:m": {"max_tokens": 5, "tokenizer": "bert", "auth_token": "x"}}
    assert logged(given, **FLAT).params == {
        "m.max_tokens": "5",
        "m.tokenizer": "bert",
        "m.auth_token": HIDDEN,
    }


def test_mapping_under_a_secret_name_is_redacted_as_a_whole() -> None:
    given = {"params:a": {"credentials": {"user": "hunter2"}}}
    assert logged(given, **FLAT).params == {"a.credentials": HIDDEN}


@pytest.mark.parametrize("key", ["a//b", "a/./b", "/a", "a/", "..", "../a"])
def test_name_that_mlflow_reads_as_another_is_an_error(key: str) -> None:
    options = {"dict_params": {"flatten": True, "sep": "/"}}
    with pytest.raises(TrackingError, match=r"refuses the name .* 'm/.*Rename"):
        logged({"params:m": {key: 1}}, **options)


def test_name_over_the_limit_is_an_error_and_the_limit_itself_is_fine() -> None:
    longest = "x" * MAX_ENTITY_KEY_LENGTH
    assert logged({f"params:{longest}": 1}).params == {longest: "1"}
    with pytest.raises(TrackingError, match="'x+…' has 251 characters .* takes 250"):
        logged({f"params:{longest}x": 1})
