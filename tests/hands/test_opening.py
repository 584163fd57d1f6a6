"""What was approved is what is opened, whatever was put in its place in between."""

import errno
import os
from pathlib import Path

import pytest

from omni.core.errors import UsageError
from omni.hands import ConsentJudge, Judgement, open_approved, rule_of
from omni.hands.opening import walked
from tests.hands.hands_tools import MOMENT, on_path, shell


def allowed(judge: ConsentJudge, project: Path, path: str, touch: str = "read") -> Judgement:
    judge.book.keep(rule_of("allow", "write", "**", made=MOMENT))
    judgement = judge.judge(on_path(project, touch, path))
    assert judgement.verdict == "allow", judgement.reason
    return judgement


def content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def refused(judgement: Judgement, flags: int = os.O_RDONLY) -> int | None:
    with pytest.raises(OSError) as caught:
        open_approved(judgement, flags)
    return caught.value.errno


def test_what_was_judged_is_opened(judge: ConsentJudge, project: Path) -> None:
    assert content(open_approved(allowed(judge, project, "src/../README.md"))) == b"some text\n"
    descriptor = open_approved(allowed(judge, project, "new.txt", "write"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert not os.get_inheritable(descriptor)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"new")
    assert (project / "new.txt").read_bytes() == b"new"
    assert (project / "new.txt").stat().st_mode & 0o777 == 0o600


def test_a_link_that_leads_to_a_file_of_the_project_opens_that_file(judge: ConsentJudge, project: Path) -> None:
    (project / "way-in").symlink_to("src/app.py")
    assert content(open_approved(allowed(judge, project, "way-in"))) == b"some text\n"


def test_a_file_that_became_a_link_is_not_followed(judge: ConsentJudge, project: Path) -> None:
    judgement = allowed(judge, project, "data.txt")
    (project / "data.txt").unlink()
    (project / "data.txt").symlink_to(project.parent / "outside" / "private.txt")
    assert refused(judgement) == errno.ELOOP


def test_a_folder_that_became_a_link_is_not_followed(judge: ConsentJudge, project: Path) -> None:
    judgement = allowed(judge, project, "src/private.txt", "write")
    (project / "src").rename(project / "before")
    (project / "src").symlink_to(project.parent / "outside")
    assert refused(judgement, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) in (errno.ELOOP, errno.ENOTDIR)
    assert (project.parent / "outside" / "private.txt").read_text() == "private\n"


def test_a_link_that_was_judged_and_leads_elsewhere_now_opens_what_was_judged(
    judge: ConsentJudge, project: Path
) -> None:
    (project / "way").symlink_to("data.txt")
    judgement = allowed(judge, project, "way")
    (project / "way").unlink()
    (project / "way").symlink_to(project.parent / "outside" / "private.txt")
    assert content(open_approved(judgement)) == b"some text\n"


def test_a_file_that_got_a_second_name_is_not_changed(judge: ConsentJudge, project: Path) -> None:
    judgement = allowed(judge, project, "new.txt", "write")
    os.link(project.parent / "outside" / "private.txt", project / "new.txt")
    assert refused(judgement, os.O_WRONLY | os.O_TRUNC) == errno.EMLINK
    assert (project.parent / "outside" / "private.txt").read_text() == "private\n"


def test_a_pipe_in_its_place_holds_nobody(judge: ConsentJudge, project: Path) -> None:
    judgement = allowed(judge, project, "data.txt")
    (project / "data.txt").unlink()
    os.mkfifo(project / "data.txt")
    assert refused(judgement) == errno.EINVAL


def test_only_what_is_allowed_is_opened_and_only_as_it_was_judged(judge: ConsentJudge, project: Path) -> None:
    with pytest.raises(UsageError, match="Only one path"):
        open_approved(judge.judge(on_path(project, "read", ".env")))
    with pytest.raises(UsageError, match="Only one path"):
        open_approved(judge.judge(shell(project, "cat README.md data.txt")))
    with pytest.raises(UsageError, match="may be read, not changed"):
        open_approved(allowed(judge, project, "data.txt"), os.O_RDWR)


def test_without_openat2_no_link_is_followed_either(project: Path) -> None:
    top = project.resolve()
    with os.fdopen(walked(str(top / "src/deep/core.py"), os.O_RDONLY), "rb") as file:
        assert file.read() == b"some text\n"
    for path in ("way-out/private.txt", "way-out.txt"):
        with pytest.raises(OSError) as caught:
            walked(str(top / path), os.O_RDONLY)
        assert caught.value.errno in (errno.ELOOP, errno.ENOTDIR)
