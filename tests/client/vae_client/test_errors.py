"""The tree of errors."""

import pickle

from vae_client import RequestError, RequestFault, VaeError
from vae_client.errors import ErrorDetails, status_error


def test_errors_can_be_pickled() -> None:
    """A pool of processes passes them on complete."""
    details = ErrorDetails(422, "t", "d", (RequestFault("/x", "f"),), "r-1")
    error = status_error(details)

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is RequestError
    assert isinstance(copy, VaeError)
    assert (copy.status, copy.errors) == (422, (RequestFault("/x", "f"),))
    assert str(copy) == str(error)
