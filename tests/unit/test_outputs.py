"""Where a command writes: files whole, and what is not a file stays what it is."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from stripe_reports_source.cli.outputs import write


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert write(pipe, "text")
    reader.join(60)
    assert read == ["text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link, lost = tmp_path / "file", tmp_path / "link", tmp_path / "lost"
    file.write_text("before")
    link.symlink_to("file")
    lost.symlink_to("not there yet")
    assert write(link, "text")
    assert not write(link, "text")
    assert write(lost, "text")
    assert (link.is_symlink(), lost.is_symlink()) == (True, True)
    assert file.read_text() == (tmp_path / "not there yet").read_text() == "text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 4
