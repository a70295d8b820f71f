"""Reads the files behind a URL through fsspec, whose backends users install."""

from collections.abc import Iterator
from http import HTTPStatus
from importlib import import_module
from typing import Any, Self, final

from model.checkpoint import CheckpointError
from model.remote.location import RemoteLocation, without_secrets

_CHUNK_BYTES = 1 << 20
_CONNECT_SECONDS, _SILENT_SECONDS = 20, 60
# Errors of clients that may be gone the next time.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_PACKAGES = {
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "gcs": "gcsfs",
    "gs": "gcsfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
    "s3": "s3fs",
    "s3a": "s3fs",
    "sftp": "paramiko",
    "ssh": "paramiko",
}
_REPOSITORIES = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@final
class UnreachableError(Exception):
    """A source does not answer, or is out of order; it may be there later."""


@final
class Source:
    """The files behind a URL, all of one revision."""

    def __init__(self, where: RemoteLocation, files: Any, read_from: RemoteLocation):
        self._where = where
        self._files = files
        self._read_from = read_from
        # A stream, because some servers have no ranges. With any size the backend does
        # not ask for it, which would turn every failure into "not found".
        is_web = where.protocol in ("http", "https")
        self._mode = {"block_size": 0, "size": 1} if is_web else {}

    @classmethod
    def open(cls, where: RemoteLocation) -> Self:
        """
        Find the backend of a URL, and resolve a branch or a tag to its commit.

        Raises:
            CheckpointError: There is no such backend, repository or revision.
            UnreachableError: The source does not answer.
        """
        try:
            files = _backend(where)
            return cls(where, files, _resolved(where, files))
        except CheckpointError:
            raise
        except Exception as error:  # each backend has its own
            raise _translated(str(where), error) from error

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """
        Return the content of a file.

        Raises:
            CheckpointError: It is not there, may not be read, or is too large.
            UnreachableError: The source does not answer.
        """
        content = bytearray()
        for chunk in self.chunks(name):
            content += chunk
            if len(content) > max_bytes:
                raise CheckpointError(
                    f"{self._where}/{name}: expected at most {max_bytes} bytes, "
                    "got more"
                )
        return bytes(content)

    def chunks(self, name: str) -> Iterator[bytes]:
        """
        Yield the content of a file piece by piece.

        Raises:
            CheckpointError: It is not there, or may not be read.
            UnreachableError: The source does not answer.
        """
        try:
            url = self._read_from.file(name)
            with self._files.open(url, "rb", **self._mode) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except Exception as error:  # each backend has its own
            raise _translated(f"{self._where}/{name}", error) from error


def _backend(where: RemoteLocation) -> Any:
    """
    Return the file system of fsspec for a URL.

    Raises:
        CheckpointError: fsspec has none, or its package is not installed.
    """
    fsspec, protocol = import_module("fsspec"), where.protocol
    try:
        kind = fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        need = f"pip install {package}" if package else without_secrets(str(error))
        raise CheckpointError(
            f"{where}: {protocol}:// needs a package that is not installed: {need}"
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"{where}: expected a protocol that fsspec knows, got {protocol}"
        ) from error
    return kind(skip_instance_cache=True, **_options(protocol))


def _options(protocol: str) -> dict[str, Any]:
    """Return options of a backend: a large file may take long, silence may not."""
    if protocol not in ("http", "https"):
        return {}
    timeout = import_module("aiohttp").ClientTimeout(
        total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
    )
    return {"client_kwargs": {"timeout": timeout}, "encoded": True}


def _resolved(where: RemoteLocation, files: Any) -> RemoteLocation:
    """Return the location with a commit in place of a branch or a tag."""
    if where.protocol != "hf":
        return where
    found = files.resolve_path(where.url.partition("://")[2])
    if getattr(found, "repo_id", None) is None:  # a bucket has no revisions
        return where
    hub = import_module("huggingface_hub").HfApi(
        endpoint=files.endpoint, token=files.token
    )
    commit = hub.repo_info(
        found.repo_id, repo_type=found.repo_type, revision=found.revision
    ).sha
    repository = f"{_REPOSITORIES[found.repo_type]}{found.repo_id}@{commit}"
    return RemoteLocation(f"hf://{repository}/{found.path_in_repo}")


def _translated(
    what: str, error: Exception
) -> CheckpointError | UnreachableError | MemoryError:
    """Return what an error of a backend means: for ever, or for the moment."""
    status = _status(error)
    if isinstance(error, MemoryError):
        return error
    if isinstance(error, FileNotFoundError) or status == HTTPStatus.NOT_FOUND:
        return CheckpointError(f"{what}: not found")
    words = " ".join(without_secrets(f"{type(error).__name__}: {error}").split())[:300]
    is_refused = 400 <= status < 500 and status not in _PASSING
    if isinstance(error, PermissionError) or is_refused:
        return CheckpointError(f"{what}: may not be read: {words}")
    return UnreachableError(f"{what}: cannot be reached: {words}")


def _status(error: Exception) -> int:
    """Return the HTTP status that an error of a backend is about, or 0."""
    response = getattr(error, "response", None)
    found = getattr(error, "status", None) or getattr(response, "status_code", None)
    return found if isinstance(found, int) else 0
