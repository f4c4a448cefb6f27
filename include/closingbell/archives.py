"""Zip archives of vendors, read as streams with caps, so that a hostile one ends in an error and not in full memory.

In: a seekable binary file of unknown origin. Out: its members' bytes in blocks. Nothing is unpacked on disk. The end
record is checked before `zipfile` reads the directory (100,000 members would be 100,000 objects), and declared sizes
before a member is opened: `zipfile` gives no byte beyond them, and misses the checksum where there are more.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

END_RECORD = struct.Struct("<4s4H2LH")
"""Signature, disk, disk of the directory, entries here, entries, directory bytes, its offset, comment bytes."""
DIRECTORY_BYTES = 2**20
MEMBERS = 64
MEMBER_BYTES = 4 * 2**30
RATIO = 100
"""Text tables shrink to a tenth or so; a bomb to a thousandth."""
BLOCK = 2**20


class ArchiveRefused(ValueError):
    """An archive beyond the caps, damaged, or without what was asked; the message says which and what to do."""


class Archive:
    """A zip file within the caps. Members are named by the last part of their path, in capitals or not."""

    def __init__(
        self,
        file: BinaryIO,
        where: str,
        *,
        members: int = MEMBERS,
        member_bytes: int = MEMBER_BYTES,
        ratio: int = RATIO,
    ) -> None:
        self.where, self.member_bytes, self.ratio = where, member_bytes, ratio
        entries = _entries(file, where)
        if entries > members:
            raise ArchiveRefused(f"{where}: the archive has {entries:,} members where at most {members} are read")
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ArchiveRefused(f"{where}: {error}; the file was cut or is no zip: fetch it again") from error
        found = [member for member in self._zip.infolist() if not member.is_dir()]
        if len(found) > members:
            raise ArchiveRefused(f"{where}: the archive has {len(found):,} members where at most {members} are read")
        self._members = {member.filename.rpartition("/")[2].upper(): member for member in found}

    @property
    def names(self) -> list[str]:
        """The members' own names, without folders, in the archive's order."""
        return [member.filename.rpartition("/")[2] for member in self._members.values()]

    def blocks(self, name: str) -> Iterator[bytes]:
        """The bytes of a member in blocks of 1 MiB. ArchiveRefused where it is absent, damaged or grows too large."""
        member = self._members.get(name.upper())
        if member is None:
            raise ArchiveRefused(f"{self.where}: member {name} is missing; the archive has {', '.join(self.names)}")
        if member.flag_bits & 1:
            raise ArchiveRefused(f"{self.where}: member {name} is encrypted")
        most = min(self.member_bytes, max(member.compress_size, BLOCK) * self.ratio)
        if member.file_size > most:
            raise ArchiveRefused(
                f"{self.where}: member {name} grows from {member.compress_size:,} to over {most:,} bytes; refused"
            )
        try:
            with self._zip.open(member) as stream:  # which gives no more than is declared
                while block := stream.read(BLOCK):
                    yield block
        except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
            raise ArchiveRefused(f"{self.where}: member {name}: {error}; fetch the archive again") from error
        except Exception as error:  # zlib.error, lzma.LZMAError: each decompressor has its own
            raise ArchiveRefused(f"{self.where}: member {name} is damaged ({error}); fetch it again") from error

    def bytes_of(self, name: str, *, at_most: int = 256 * BLOCK) -> bytes:
        """A whole member that must fit into memory. ArchiveRefused beyond `at_most` bytes."""
        parts, size = [], 0
        for block in self.blocks(name):
            size += len(block)
            if size > at_most:
                raise ArchiveRefused(f"{self.where}: member {name} is over {at_most:,} bytes; refused")
            parts.append(block)
        return b"".join(parts)


def _entries(file: BinaryIO, where: str) -> int:
    """How many members the end record declares; refused where the directory is large or of the 64-bit kind."""
    size = file.seek(0, 2)
    start = max(0, size - END_RECORD.size - 2**16)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < END_RECORD.size:
        raise ArchiveRefused(f"{where}: no zip archive; the file was cut or is an error page: fetch it again")
    _, _, _, _, entries, directory, _, _ = END_RECORD.unpack_from(tail, at)
    if b"PK\x06\x07" in tail[max(0, at - 20) : at] or entries == 0xFFFF or directory > DIRECTORY_BYTES:
        raise ArchiveRefused(
            f"{where}: the archive's directory has {directory:,} bytes for {entries:,} or more members; "
            f"at most {DIRECTORY_BYTES:,} bytes are read"
        )
    file.seek(0)
    return entries
