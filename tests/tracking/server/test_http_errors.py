"""An error means that the server refuses a record, or that it is away."""

import pytest
import requests
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException, RestException
from tracking.server.http_errors import is_refusal, is_web_page, problem, status_of

from tests.tracking.conftest import Project

CODE = "API request to endpoint /api/2.0/mlflow/runs/log-batch failed with error code"
PAGE = "Response body: '<!DOCTYPE html><html>…'"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (
            RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}),
            400,
        ),
        (
            RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}),
            404,
        ),
        (MlflowException(f"{CODE} 413 != 200. {PAGE}"), 413),
        (MlflowException(f"{CODE} 400 != 200. Response body: 'no'"), 400),
        (MlflowException.invalid_parameter_value("of the client"), 400),
        (TypeError("of the client"), None),
        (ValueError("of the client"), None),
        (OverflowError("int too big to convert"), None),
    ],
)
def test_refused(error: Exception, status: int | None) -> None:
    assert is_refusal(error)
    assert status_of(error) == status


@pytest.mark.parametrize(
    "error",
    [
        RestException({"error_code": "INTERNAL_ERROR", "message": "no"}),
        RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
        RestException({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "no"}),
        RestException({"message": "Forbidden"}),  # a gateway's
        MlflowException(f"{CODE} 401 != 200. Response body: 'no'"),
        MlflowException(f"{CODE} 404 != 200. {PAGE}"),
        MlflowException(
            "API request to endpoint was successful but the response body was not in a "
            f"valid JSON format. {PAGE}"
        ),
        MlflowException(
            "API request to http://h/api failed with exception HTTPConnectionPool(…): Max "
            "retries exceeded (Caused by ResponseError('too many 503 error responses'))"
        ),
        MlflowException("API request to http://h failed with timeout exception …"),
        requests.exceptions.JSONDecodeError("no", "", 0),
        ConnectionError("gone"),
    ],
)
def test_away(error: Exception) -> None:
    assert not is_refusal(error)


def test_no_answer_has_no_status() -> None:
    text = "API request to http://h failed with exception …"
    assert status_of(MlflowException(text)) is None
    assert not is_web_page(text)
    assert problem(text) == "does not answer in time"


@pytest.mark.parametrize(
    "error",
    [
        RestException({"error_code": "PERMISSION_DENIED", "message": "no"}),
        MlflowException(f"{CODE} 403 != 200. Response body: 'Permission denied'"),
    ],
)
def test_a_login_without_permission_is_no_wrong_login(error: Exception) -> None:
    assert problem(str(error)) == "gives no permission to the login"


def test_store_without_a_server_refuses_too(project: Project) -> None:
    run_id = project.client.create_run("0").info.run_id
    with pytest.raises(MlflowException) as error:
        project.client.log_batch(run_id, [Metric("a@b", 1.0, 1, 0)])
    assert is_refusal(error.value)
