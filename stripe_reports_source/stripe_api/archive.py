"""The archive: result files exactly as Stripe wrote them, each named by its SHA-256, with what they were loaded as.

In: a folder, or any address that fsspec takes; its credentials come from the environment or fsspec's own configuration,
as for dlt's filesystem destination. Out: files that are written once and never changed. All methods may be called from
several threads.

    files/<sha256>.csv                    a result file
    manifests/<run id>-<digits>.json      what it was loaded as, see `plan.manifest`
    accounts/<digits>-<time>-<run>.json   whose files lie under a label, see `plan.account_run`
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ..errors import ArchiveError, ConfigurationError
from ..plan.account_run import FOLDER as ACCOUNTS
from ..plan.account_run import AccountRun, account_run
from ..plan.cells import Downloaded
from ..plan.manifest import MANIFESTS, Manifest, file_path, instant_of, read_manifest
from ..plan.stripe_objects import is_id
from ..plan.texts import printable

_CHUNK = 1 << 20
_AT_ONCE = 200
"""Manifests that are read at once, where the store can."""
_WHOLE_AT_ONCE = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "r2", "oss", "oci"))
"""Object stores: an object is there whole or not at all, so that it needs no temporary name."""


class Archive:
    """See the module."""

    def __init__(self, url: str, setting: str = "archive_url") -> None:
        """See the class.

        Args:
            url: the archive's root.
            setting: what the user knows it by.

        Raises:
            ConfigurationError: fsspec does not know such an address, or lacks the package for it.
        """
        self.shown = shown_url(url)
        try:
            self._fs, root = fsspec.core.url_to_fs(os.path.expanduser(url))
        except Exception as error:
            raise ConfigurationError(f"{setting} {self.shown!r} cannot be used: {_told(error)}.") from None
        self._root = root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)
        protocols = (self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol
        self._whole_at_once = not _WHOLE_AT_ONCE.isdisjoint(protocols)

    def __repr__(self) -> str:
        return f"Archive({self.shown!r})"

    @property
    def place(self) -> Path | None:
        """The archive's root where it is a folder of this machine, there or not."""
        return Path(self._root) if self._local else None

    def folder(self) -> Path | None:
        """The archive's root where it is a folder of this machine, which is there then.

        Raises:
            ArchiveError: it cannot be made.
        """
        if not self._local:
            return None
        with self._says("is not written", self._root):
            self._make_folder(self._root)
        return Path(self._root)

    def keep(self, file: Downloaded, *, again: bool = False) -> str:
        """Put a result file into the archive, unless it is there.

        Args:
            file: on this disk.
            again: write it also where it is there: one that was spoiled is mended by that.

        Returns:
            Its path from the archive's root.

        Raises:
            ArchiveError: it cannot be written, or its name is taken by a file of another size.
        """
        path = file_path(file.sha256)
        with self._says("is not written", path):
            if again or not self._is_there(path, file.bytes):
                self._write(path, lambda name: self._put(file.path, name))
                if not self._is_there(path, file.bytes):
                    raise ArchiveError(f"the archive's {path} is not there after it was written.")
        return path

    def note(self, manifest: Manifest, content: bytes) -> None:
        """Put a manifest into the archive; one that is there already stays as it is.

        Raises:
            ArchiveError: it cannot be written.
        """
        path = f"{MANIFESTS}/{manifest.run.id}-{manifest.identity}.json"
        with self._says("is not written", path):
            if not self._fs.exists(self._at(path)):
                self._write(path, lambda name: self._pipe(content, name))

    def manifests(self) -> list[Manifest]:
        """All manifests, in the order in which their runs were made.

        Raises:
            ArchiveError: the archive, or one of them, cannot be read.
        """
        found = []
        for name in self._names(MANIFESTS):
            with self._says("cannot be read", name):
                content = self._fs.cat_file(self._at(name))
            try:
                found.append(read_manifest(content, name))
            except ArchiveError as error:
                raise ArchiveError(
                    f"{str(error).rstrip('.')}. It is {self.shown}/{name}: put back the file as it was, or move it out "
                    f"of the folder {MANIFESTS} if it is not a manifest."
                ) from None
        return sorted(found, key=lambda manifest: (manifest.run.created, manifest.archived_at, manifest.run.id))

    def account_runs(self, label: str, livemode: bool) -> list[AccountRun]:
        """The runs by which it is known whose files lie under a label, the newest first; none where there are none.

        An archive that an earlier version has written notes none: then all manifests are read, once, and the newest
        counts.

        Raises:
            ArchiveError: the archive does not answer.
        """
        names = [name.rpartition("/")[2] for name in self._names(ACCOUNTS)]
        noted = [run for run in (account_run(name, label, livemode) for name in names) if run is not None]
        if noted:
            return sorted(noted, key=_age, reverse=True)
        told = [
            AccountRun(label, livemode, manifest["run_id"], instant_of(manifest["created"]))
            for manifest in self._told()
            if (manifest.get("account"), manifest.get("livemode")) == (label, livemode)
        ]
        return sorted(told, key=_age)[-1:]

    def note_account(self, run: AccountRun) -> None:
        """Note a run by which it is known whose files lie under its label.

        Raises:
            ArchiveError: it cannot be written.
        """
        with self._says("is not written", run.path):
            if not self._fs.exists(self._at(run.path)):
                self._write(run.path, lambda name: self._pipe(run.content(), name))

    def forget_account(self, run: AccountRun) -> None:
        """Take back what `note_account` has noted.

        Raises:
            ArchiveError: it cannot be removed.
        """
        with self._says("is not removed", run.path):
            self._fs.rm_file(self._at(run.path))

    def has(self, sha256: str) -> bool:
        """True if a file is in the archive.

        Raises:
            ArchiveError: the archive does not answer.
        """
        with self._says("cannot be read", file_path(sha256)):
            return bool(self._fs.exists(self._at(file_path(sha256))))

    def fetch(self, sha256: str, target: Path) -> Downloaded:
        """Bring a file to `target`, for its owner only. Nothing is left there after an error.

        Raises:
            ArchiveError: it is not there, or is not what its name says.
        """
        path = file_path(sha256)
        digest = hashlib.sha256()
        try:
            with (
                self._says("cannot be read", path),
                self._fs.open(self._at(path), "rb") as source,
                open(target, "xb", opener=_for_its_owner) as out,
            ):
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    out.write(chunk)
            if digest.hexdigest() != sha256:
                raise ArchiveError(f"the archive's {path} is not what it was: its SHA-256 is {digest.hexdigest()}.")
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Downloaded(target, target.stat().st_size, sha256, path)

    def _names(self, folder: str) -> list[str]:
        """The JSON files of a folder, from the archive's root."""
        with self._says("cannot be read", folder):
            self._fs.invalidate_cache()
            place = self._at(folder)
            names = self._fs.ls(place, detail=False) if self._fs.isdir(place) else []
        short = sorted(str(name).rstrip("/").rpartition("/")[2] for name in names)
        return [f"{folder}/{name}" for name in short if name.endswith(".json")]

    def _told(self) -> Iterator[dict[str, Any]]:
        """What the manifests say that can be read; of the others a replay speaks."""
        names = [self._at(name) for name in self._names(MANIFESTS)]
        for first in range(0, len(names), _AT_ONCE):
            with self._says("cannot be read", MANIFESTS):
                contents = self._fs.cat(names[first : first + _AT_ONCE], on_error="omit")
            for content in contents.values():
                try:
                    told = json.loads(content)
                    readable = is_id(told["run_id"]) and instant_of(told["created"]).tzinfo is not None
                except (AttributeError, KeyError, TypeError, ValueError):
                    readable = False
                if readable:
                    yield told

    def _is_there(self, path: str, size: int) -> bool:
        self._fs.invalidate_cache()
        if not self._fs.exists(self._at(path)):
            return False
        found = self._fs.size(self._at(path))
        if found != size:
            raise ArchiveError(f"the archive's {path} has {found} bytes instead of {size}; it is left as it is.")
        return True

    def _write(self, path: str, write: Callable[[str], None]) -> None:
        """Write a file under a name that no one reads, then give it its own; where a store does so itself, at once."""
        final = self._at(path)
        self._make_folder(final.rpartition("/")[0])
        if self._whole_at_once:
            write(final)
            return
        name = f"{final}.{uuid.uuid4().hex}.part"
        try:
            write(name)
            if self._local:
                os.replace(name, final)
            else:
                self._fs.mv(name, final)
        except BaseException:
            if self._fs.exists(name):
                self._fs.rm_file(name)
            raise

    def _make_folder(self, folder: str) -> None:
        if not self._local:
            self._fs.makedirs(folder, exist_ok=True)
            return
        for place in (self._root, folder):
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).mkdir(mode=0o700, exist_ok=True)

    def _put(self, source: Path, name: str) -> None:
        if not self._local:
            self._fs.put_file(str(source), name)
            return
        with source.open("rb") as file, open(name, "xb", opener=_for_its_owner) as out:
            shutil.copyfileobj(file, out, _CHUNK)
            _to_disk(out.fileno(), out.flush)

    def _pipe(self, content: bytes, name: str) -> None:
        if not self._local:
            self._fs.pipe_file(name, content)
            return
        with open(name, "xb", opener=_for_its_owner) as out:
            out.write(content)
            _to_disk(out.fileno(), out.flush)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextmanager
    def _says(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except ArchiveError:
            raise
        except Exception as error:
            raise ArchiveError(f"the archive {self.shown}: {path} {what} ({_told(error)}).") from None


def shown_url(text: str) -> str:
    """An archive's address for people, or what is said of it: without a user, a password and a query.

    A password may have an @ of its own: the host begins after the last one.
    """
    return printable(re.sub("//[^/]*@", "//", text).partition("?")[0], 200)


def _age(run: AccountRun) -> tuple[datetime, str]:
    return run.created, run.run_id


def _told(error: Exception) -> str:
    """An error of fsspec's or a store's, without what it may say of addresses."""
    text = shown_url(str(error)).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _to_disk(number: int, flush: Callable[[], None]) -> None:
    """The file outlives a power failure: what is loaded from it does."""
    flush()
    os.fsync(number)
