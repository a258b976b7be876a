from pathlib import Path

import pytest

from data.errors import DataError, UsageError
from serving.dataplanes import main
from serving.haproxy import files

EXAMPLE = Path(__file__).parents[3] / "serving" / "deploy" / "haproxy.toml"
PLAIN = EXAMPLE.with_name("shaper.toml")


def test_the_example_is_rendered_to_a_folder_or_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["haproxy", "render", "--config", str(EXAMPLE), "--out", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "haproxy.cfg").exists()
    assert main(["haproxy", "render", "--config", str(EXAMPLE)]) == 0
    assert "server fra-1 127.0.0.1:9201" in capsys.readouterr().out


def test_a_file_without_the_section_is_refused_by_its_name() -> None:
    with pytest.raises(UsageError, match=r"section \[dataplane\.haproxy\]"):
        main(["haproxy", "render", "--config", str(PLAIN)])


def test_a_configuration_that_haproxy_refuses_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "haproxy"
    program.write_text("#!/bin/sh\necho 'unknown keyword' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(files, "PLACES", str(tmp_path))
    with pytest.raises(DataError, match="unknown keyword"):
        main(["haproxy", "apply", "--config", str(EXAMPLE), "--out", str(tmp_path / "new")])
    assert not (tmp_path / "new").exists()
