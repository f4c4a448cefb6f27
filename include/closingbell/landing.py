"""The raw zone: every vendor answer as it came, gzipped, under its own sha256, before anyone parses it.

In: an `Answer`. Out: a row of ops.landings (its landing_id) and a file <vendor>/<endpoint>/<sha[:2]>/<sha>.gz below a
local folder or s3://bucket/prefix. The same bytes twice are one file and two rows. A body that is a zip archive
already is kept as <sha>.zip, so that reading it back needs no second copy.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

from sqlalchemy import Engine, text

from closingbell.hooks.answer import Answer
from closingbell.settings import settings
from closingbell.warehouse import db

LOCK = 0x6C616E64  # shared by every put, taken alone by retention, so that no file goes while its bytes land again
_CHUNK = 1 << 20


class LandingError(RuntimeError):
    """A landed answer is absent or not the bytes that were landed; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """An answer read back from the landing zone: the fields of `Answer`, its id and the sha256 of its body."""

    landing_id: int
    sha256: str
    vendor: str
    endpoint: str
    key: str
    request: dict[str, Any]
    body: bytes | Path
    content_type: str | None
    answered_at: datetime
    fetched_at: datetime

    @property
    def content(self) -> bytes:
        """The body of an answer that fits in memory."""
        assert isinstance(self.body, bytes), f"{self.vendor} {self.endpoint} is a file"
        return self.body

    @property
    def file(self) -> Path:
        """The local file of an answer that does not (a bulk zip)."""
        assert isinstance(self.body, Path), f"{self.vendor} {self.endpoint} is no file"
        return self.body


class Landing:
    """The landing zone at `root`: a local folder, or s3://bucket/prefix through the amazon provider's connection."""

    def __init__(self, root: str, engine: Engine):
        self.root = root
        self.engine = engine
        self._store: _Store = _S3(root) if root.startswith("s3://") else _Folder(Path(root))

    def put(self, answer: Answer) -> int:
        """Land one answer; its landing_id. The file is whole before the row exists."""
        if answer.fetched_at.tzinfo is None or answer.answered_at.tzinfo is None:
            raise ValueError(f"{_name(answer)}: answered_at and fetched_at need a time zone (UTC)")
        with self.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": LOCK})
            sha256, size, path = self._store_body(answer)
            return connection.execute(
                db.statement("landing_put"),
                {
                    "vendor": answer.vendor,
                    "endpoint": answer.endpoint,
                    "key": answer.key,
                    "request": json.dumps(answer.request, sort_keys=True),
                    "path": path,
                    "sha256": sha256,
                    "bytes": size,
                    "content_type": answer.content_type,
                    "answered_at": answer.answered_at,
                    "fetched_at": answer.fetched_at,
                },
            ).scalar_one()

    def read(self, landing_id: int) -> Landed:
        """One answer as it came; raises LandingError where it is absent or altered."""
        return next(self.read_each([landing_id]))

    def read_each(self, landing_ids: Iterable[int]) -> Iterator[Landed]:
        """Answers one by one, in the order of `landing_ids`; one connection and one body in memory at a time."""
        ids = list(landing_ids)
        with self.engine.connect() as connection:
            found = {row.landing_id: row for row in connection.execute(db.statement("landing_rows"), {"ids": ids})}
        for landing_id in ids:
            if (row := found.get(landing_id)) is None:
                raise LandingError(f"landing {landing_id} is not in ops.landings; was it dropped by retention?")
            yield Landed(
                landing_id=row.landing_id,
                sha256=row.sha256,
                vendor=row.vendor,
                endpoint=row.endpoint,
                key=row.key,
                request=row.request,
                body=self._body(row.path, row.sha256, f"{row.vendor} {row.endpoint} {row.key} (landing {landing_id})"),
                content_type=row.content_type,
                answered_at=row.answered_at,
                fetched_at=row.fetched_at,
            )

    def latest(self, vendor: str, endpoint: str, keys: Sequence[str] | None = None) -> dict[str, int]:
        """{key: landing_id} of the last answer of each key (of all keys where None)."""
        wanted = {"vendor": vendor, "endpoint": endpoint, "keys": None if keys is None else list(keys)}
        with self.engine.connect() as connection:
            return {row.key: row.landing_id for row in connection.execute(db.statement("landing_latest"), wanted)}

    def history(self, vendor: str, endpoint: str) -> list[int]:
        """Every landing of the endpoint, oldest fetched first: what a replay reads."""
        with self.engine.connect() as connection:
            rows = connection.execute(db.statement("landing_history"), {"vendor": vendor, "endpoint": endpoint})
            return list(rows.scalars())

    def sha256(self, landing_ids: Sequence[int]) -> list[str]:
        """The sha256 of each landing's body, in the given order."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text("SELECT landing_id, sha256 FROM ops.landings WHERE landing_id = ANY(:ids)"),
                {"ids": list(landing_ids)},
            )
            found = {row.landing_id: row.sha256 for row in rows}
        if missing := [landing_id for landing_id in landing_ids if landing_id not in found]:
            raise LandingError(f"landings {missing[:10]} are not in ops.landings; were they dropped by retention?")
        return [found[landing_id] for landing_id in landing_ids]

    def drop(self, path: str) -> None:
        """Delete the file of a landing that no row names any more (retention)."""
        self._store.delete(path)

    def check(self) -> str:
        """Write, read and delete a small file; where it was written. Raises what the store raises."""
        path = f".check/{os.getpid()}.gz"
        self._store.write(path, b"closing bell")
        self._store.read(path)
        self._store.delete(path)
        return self.root

    def _store_body(self, answer: Answer) -> tuple[str, int, str]:
        if isinstance(answer.body, Path):
            return self._store_file(answer, answer.body)
        digest = hashlib.sha256(answer.body).hexdigest()
        path = _path(answer, digest, ".gz")
        if not self._store.has(path):
            self._store.write(path, gzip.compress(answer.body, 6, mtime=0))
        return digest, len(answer.body), path

    def _store_file(self, answer: Answer, source: Path) -> tuple[str, int, str]:
        digest, size = _sha256_of(source)
        if zipfile.is_zipfile(source):
            path = _path(answer, digest, ".zip")
            if not self._store.has(path):
                self._store.write_file(path, source)
            return digest, size, path
        path = _path(answer, digest, ".gz")
        if not self._store.has(path):
            with tempfile.NamedTemporaryFile(suffix=".gz") as packed:
                with source.open("rb") as plain, gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as out:
                    shutil.copyfileobj(plain, out, _CHUNK)
                packed.flush()
                self._store.write_file(path, Path(packed.name))
        return digest, size, path

    def _body(self, path: str, sha256: str, name: str) -> bytes | Path:
        try:
            body: bytes | Path
            if path.endswith(".zip"):
                body = self._store.local(path)
                found = _sha256_once(body)
            else:
                body = gzip.decompress(self._store.read(path))
                found = hashlib.sha256(body).hexdigest()
        except (OSError, EOFError) as error:
            raise LandingError(f"{name}: {self.root}/{path} cannot be read ({error}); fetch it again") from error
        if found != sha256:
            raise LandingError(f"{name}: {self.root}/{path} is not what was landed (sha256 {found}, not {sha256})")
        return body


class DryLanding(Landing):
    """What a dry run lands in: it reads what is landed, and forgets with its process what it is given itself."""

    def __init__(self, root: str, engine: Engine):
        super().__init__(root, engine)
        self._folder = tempfile.TemporaryDirectory(prefix="closingbell-dry-run-")
        self._given: dict[int, tuple[Answer, str, str | Path]] = {}  # by id, below zero: sha256 and where the body is

    def put(self, answer: Answer) -> int:
        """Keep the answer for this process alone; its id is below zero."""
        landing_id = -1 - len(self._given)
        kept: tuple[Answer, str, str | Path]
        if isinstance(answer.body, Path):
            kept = answer, _sha256_of(answer.body)[0], answer.body
        else:
            path = Path(self._folder.name) / str(-landing_id)
            path.write_bytes(answer.body)
            kept = dataclasses.replace(answer, body=b""), hashlib.sha256(answer.body).hexdigest(), str(path)
        self._given[landing_id] = kept
        return landing_id

    def read_each(self, landing_ids: Iterable[int]) -> Iterator[Landed]:
        """Answers one by one, in the order of `landing_ids`."""
        for landing_id in landing_ids:
            if landing_id not in self._given:
                yield from super().read_each([landing_id])
                continue
            answer, sha256, kept = self._given[landing_id]
            body = kept if isinstance(kept, Path) else Path(kept).read_bytes()
            yield Landed(
                landing_id=landing_id, sha256=sha256, vendor=answer.vendor, endpoint=answer.endpoint, key=answer.key,
                request=answer.request, body=body, content_type=answer.content_type, answered_at=answer.answered_at,
                fetched_at=answer.fetched_at,
            )  # fmt: skip


class _Store(Protocol):
    def has(self, path: str) -> bool: ...
    def write(self, path: str, content: bytes) -> None: ...
    def write_file(self, path: str, source: Path) -> None: ...
    def read(self, path: str) -> bytes: ...
    def local(self, path: str) -> Path: ...
    def delete(self, path: str) -> None: ...


class _Folder:
    def __init__(self, root: Path):
        self.root = root.expanduser().resolve()

    def has(self, path: str) -> bool:
        return (self.root / path).exists()

    def write(self, path: str, content: bytes) -> None:
        with self._whole(path) as out:
            out.write(content)

    def write_file(self, path: str, source: Path) -> None:
        with self._whole(path) as out, source.open("rb") as content:
            shutil.copyfileobj(content, out, _CHUNK)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def local(self, path: str) -> Path:
        return self.root / path

    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)

    def _whole(self, path: str) -> _Whole:
        return _Whole(self.root / path)


class _Whole:
    """A file that appears under its name only when it is written, flushed and closed."""

    def __init__(self, target: Path):
        self.target = target

    def __enter__(self) -> IO[bytes]:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        handle, self.partial = tempfile.mkstemp(dir=self.target.parent, prefix=".partial-")
        self.out = os.fdopen(handle, "wb")
        return self.out

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.out.flush()
            os.fsync(self.out.fileno())
        self.out.close()
        if kind is None:
            os.chmod(self.partial, 0o644)
            os.replace(self.partial, self.target)
        else:
            os.unlink(self.partial)


class _S3:
    def __init__(self, root: str):
        self.bucket, _, prefix = root.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._hook: Any = None

    @property
    def hook(self) -> Any:
        if self._hook is None:
            from airflow.providers.amazon.aws.hooks.s3 import S3Hook

            self._hook = S3Hook(aws_conn_id=settings().landing_aws_conn_id)
        return self._hook

    def has(self, path: str) -> bool:
        return self.hook.check_for_key(self.prefix + path, self.bucket)

    def write(self, path: str, content: bytes) -> None:
        self.hook.load_bytes(content, self.prefix + path, self.bucket, replace=True)

    def write_file(self, path: str, source: Path) -> None:
        self.hook.load_file(str(source), self.prefix + path, self.bucket, replace=True)

    def read(self, path: str) -> bytes:
        return self._object(path).get()["Body"].read()

    def local(self, path: str) -> Path:
        # content-addressed, so a copy that is there is the right one; the caller checks its sha256
        copy = Path(tempfile.gettempdir()) / "closingbell-landing" / path
        if not copy.exists():
            with _Whole(copy) as out:
                self._object(path).download_fileobj(out)
        return copy

    def _object(self, path: str) -> Any:
        from botocore.exceptions import ClientError

        try:
            return self.hook.get_key(self.prefix + path, self.bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                raise FileNotFoundError(f"no such object: {error}") from error
            raise

    def delete(self, path: str) -> None:
        self.hook.delete_objects(self.bucket, self.prefix + path)


def _path(answer: Answer, sha256: str, suffix: str) -> str:
    return f"{answer.vendor}/{answer.endpoint}/{sha256[:2]}/{sha256}{suffix}"


def _sha256_of(source: Path) -> tuple[str, int]:
    with source.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest(), source.stat().st_size


def _sha256_once(source: Path) -> str:
    """The sha256 of a bulk zip, read once a process as long as the file is the same: every batch asks for it."""
    state = source.stat()
    return _sha256_of_state(source, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256_of_state(source: Path, size: int, modified: int) -> str:
    return _sha256_of(source)[0]


def _name(answer: Answer) -> str:
    return f"{answer.vendor} {answer.endpoint} {answer.key}"
