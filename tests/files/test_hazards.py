"""What can go wrong while a file is written: the target is old or new, never a mixture."""

import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from ckptedit.errors import BadCheckpoint, OutputExists, WriteFailed
from ckptedit.files import Checkpoint, Spec, check_output, write, write_edited
from tests.files.conftest import listing

ROOT = Path(__file__).parents[2]
SPECS = [Spec("w", "U8", (100,))]


@pytest.fixture(params=["nameless", "named"], autouse=True)
def naming(request, monkeypatch):
    """Both ways to hide a file until it is complete; the second is for file systems without one."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    return request.param


def put(target: Path | str, value: int, **options: bool) -> None:
    write(target, SPECS, [np.full(100, value, np.uint8)], {}, **options)


def value_in(target: Path) -> int:
    return int(Checkpoint(target).values("w")[0])


@pytest.fixture
def old(tmp_path) -> Path:
    put(tmp_path / "out.safetensors", 1)
    return tmp_path / "out.safetensors"


# disk full


@pytest.mark.parametrize("reserves", [True, False], ids=["reserved", "found while writing"])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, naming, reserves):
    code = f"""if True:
        import os, resource, sys
        from ckptedit.errors import WriteFailed
        from ckptedit.files import Spec, write
        if {naming == "named"}: del os.O_TMPFILE
        if not {reserves}: del os.posix_fallocate
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        asked = []
        def data():
            for i in range(3):
                asked.append(i)
                yield bytes(1 << 20)
        specs = [Spec(str(i), "U8", (1 << 20,)) for i in range(3)]
        try:
            write("out.safetensors", specs, data(), {{}})
        except WriteFailed as error:
            print(error, asked, os.listdir())
    """
    done = _python(code, tmp_path)
    when = "[]" if reserves else "[0]"
    assert done.stdout == f"out.safetensors: File too large {when} []\n", done.stderr


def test_a_full_device_is_one_error():
    with pytest.raises(WriteFailed, match="/dev/full: No space left on device"):
        put("/dev/full", 1)


def test_a_short_write_goes_on_where_it_stopped(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:7]))
    put(tmp_path / "out.safetensors", 5)
    assert (Checkpoint(tmp_path / "out.safetensors").raw("w") == 5).all()


def test_a_lost_write_is_noticed(old, monkeypatch):
    """A file system that says it wrote and did not."""
    monkeypatch.setattr(os, "write", lambda fd, data: len(data))
    with pytest.raises(WriteFailed, match=r"not all of its \d+ bytes were written|Input/output"):
        put(old, 2, force=True)
    assert value_in(old) == 1 and listing(old.parent) == [old.name]


# output = input


@pytest.fixture(params=["itself", "relative", "symlink", "hard link", "folder link"])
def other_name(request, old, tmp_path, monkeypatch) -> Path:
    """Another way to call the file `old`."""
    monkeypatch.chdir(tmp_path)
    alias = tmp_path / "alias"
    match request.param:
        case "itself":
            return old
        case "relative":
            return Path(old.name)
        case "symlink":
            alias.symlink_to(old)
        case "hard link":
            alias.hardlink_to(old)
        case "folder link":
            alias.symlink_to(tmp_path)
            return alias / old.name
    return alias


@pytest.mark.parametrize("force", [True, False])
def test_an_input_is_not_overwritten_under_any_name(old, other_name, force):
    with pytest.raises(OutputExists, match="is an input; --in-place overwrites it"):
        write_edited(other_name, Checkpoint(old), {"w": np.zeros(100, np.uint8)}, force=force)
    assert value_in(old) == 1


def test_an_input_is_overwritten_in_place_while_it_is_read(old, other_name):
    base = Checkpoint(old)
    write_edited(other_name, base, {"w": lambda: base.raw("w") * 2}, in_place=True)
    assert value_in(other_name) == 2
    assert value_in(old) == (1 if other_name.name == "alias" and not other_name.is_symlink() else 2)


def test_any_of_several_inputs_is_protected(old, tmp_path):
    put(tmp_path / "second.safetensors", 2)
    inputs = [Checkpoint(old), Checkpoint(tmp_path / "second.safetensors")]
    with pytest.raises(OutputExists, match="is an input"):
        check_output(tmp_path / "second.safetensors", inputs, force=True, in_place=False)


def test_stdout_redirected_to_an_input_is_refused(old, monkeypatch):
    with old.open("ab") as stdout:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
        with pytest.raises(OutputExists, match="stdout is redirected to an input"):
            check_output("-", [Checkpoint(old)], force=True, in_place=True)
        monkeypatch.undo()


# overwriting


def test_an_existing_file_is_replaced_only_by_force(old):
    with pytest.raises(OutputExists, match=r"out\.safetensors exists; --force overwrites it"):
        put(old, 2)
    with pytest.raises(OutputExists, match="--force"):
        put(old, 2, in_place=True)
    assert value_in(old) == 1
    put(old, 2, force=True)
    assert value_in(old) == 2


def test_a_file_that_appears_meanwhile_is_not_replaced_either(tmp_path):
    out = tmp_path / "out.safetensors"

    def slow():
        out.write_text("somebody else's")
        yield bytes(100)

    with pytest.raises(OutputExists, match="exists by now"):
        write(out, SPECS, slow(), {})
    assert out.read_text() == "somebody else's" and listing(tmp_path) == [out.name]


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(OutputExists, match="is a folder"):
        put(tmp_path, 1, force=True)


@pytest.mark.parametrize("target", ["no/out", "file/out"])
def test_a_missing_folder_is_named(tmp_path, target):
    (tmp_path / "file").touch()
    with pytest.raises(WriteFailed, match="there is no folder"):
        put(tmp_path / target, 1)


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("name", ["loop", "loop/out", "n" * 300, f"{'n' * 300}/out"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name, force):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(WriteFailed, match=r"Too many levels of symbolic links|File name too long"):
        put(tmp_path / name, 1, force=force)
    assert listing(tmp_path) == ["loop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(WriteFailed, match="is not writable"):
        put(tmp_path / "out", 1)


# interruptions


def _python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", code]
    return subprocess.run(arguments, cwd=folder, env=env, capture_output=True, text=True)


SLOW = """if True:
    import os, signal, sys
    from ckptedit.files import *
    if {named}: del os.O_TMPFILE
    def data():
        yield bytes(1 << 20)
        print("half", flush=True)
        signal.pause()
    specs = [Spec("a", "U8", (1 << 20,)), Spec("w", "U8", (100,))]
    write("out.safetensors", specs, data(), {{}}, force=True)
"""


@pytest.mark.parametrize(
    "number, status",
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(old, naming, number, status):
    code = SLOW.format(named=naming == "named")
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    writer = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=old.parent,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # nohup ignores SIGHUP
    )
    with writer:
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(number)
        assert writer.wait(30) == status
    assert value_in(old) == 1
    assert listing(old.parent) == [old.name]


def test_signal_handlers_are_put_back(old):
    mine = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        put(old, 2, force=True)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, mine)


def test_a_thread_may_write(old):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pool.submit(put, old, 3, force=True).result()
    assert value_in(old) == 3


WRITER = """if True:
    import itertools, os, sys
    import numpy as np
    from ckptedit.files import *
    if {named}: del os.O_TMPFILE
    for i in itertools.count():
        value = ({first} + i) % 250
        specs = [Spec(str(n), "U8", (200_000,)) for n in range(20)]
        data = (np.full(200_000, value, np.uint8) for n in range(20))
        write("out.safetensors", specs, data, {{"value": str(value)}}, force=True)
        if not i:
            print("ready", flush=True)
"""


@contextmanager
def _start(code: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", code]
    with subprocess.Popen(arguments, cwd=folder, env=env, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            if sys.exc_info()[0]:  # else the test has ended it, and how is what it is about
                process.kill()


def _whole(path: Path) -> bool:
    """Whether all tensors and the metadata are of one generation."""
    with Checkpoint(path) as checkpoint:
        value = int(checkpoint.metadata["value"])
        return all((checkpoint.raw(name) == value).all() for name in checkpoint)


def test_sigkill_at_any_moment_leaves_the_old_file_or_the_new(tmp_path, naming):
    out = tmp_path / "out.safetensors"
    rng = np.random.default_rng(0)
    for round_ in range(6):
        with _start(WRITER.format(named=naming == "named", first=round_ * 40), tmp_path) as writer:
            with suppress(subprocess.TimeoutExpired):
                writer.wait(rng.uniform(0, 0.1))
            writer.kill()
        assert _whole(out)
    if naming == "nameless":  # but for the moment between giving it a name and renaming it
        assert len(listing(tmp_path)) <= 2


def test_two_writers_never_mix(tmp_path, naming):
    out = tmp_path / "out.safetensors"
    code = WRITER.format(named=naming == "named", first=0)
    with _start(code, tmp_path) as one, _start(code, tmp_path) as other:
        for _ in range(50):
            assert _whole(out)
        one.terminate()
        other.terminate()
    assert listing(tmp_path) == [out.name]


# mode, links, devices


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        put(tmp_path / "out", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_replaced_file_keeps_its_mode(old, mode):
    old.chmod(mode)
    put(old, 2, force=True)
    assert stat.S_IMODE(old.stat().st_mode) == mode and value_in(old) == 2


def test_a_symlink_stays_and_its_target_is_replaced(old, tmp_path):
    (tmp_path / "sub").mkdir()
    link = tmp_path / "sub/link"
    link.symlink_to("../out.safetensors")
    put(link, 2, force=True)
    assert link.is_symlink() and value_in(old) == 2 and listing(tmp_path / "sub") == ["link"]


def test_a_dangling_symlink_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to("there")
    put(tmp_path / "link", 3)
    assert (tmp_path / "link").is_symlink() and value_in(tmp_path / "there") == 3


def test_the_other_name_of_a_hard_link_keeps_the_old_file(old, tmp_path):
    (tmp_path / "backup").hardlink_to(old)
    put(old, 2, force=True)
    assert value_in(old) == 2 and value_in(tmp_path / "backup") == 1


def test_a_device_is_written_to_and_not_replaced():
    put("/dev/null", 1)
    assert Path("/dev/null").is_char_device()


def test_a_fifo_gets_the_whole_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        put(tmp_path / "pipe", 4)
        (tmp_path / "read").write_bytes(reader.stdout.read())
    assert value_in(tmp_path / "read") == 4
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_stdout_gets_the_same_bytes_as_a_file(old, monkeypatch):
    stdout = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stdout)
    write_edited("-", Checkpoint(old), {})
    monkeypatch.undo()
    assert stdout.buffer.getvalue() == old.read_bytes()


def test_a_stdout_that_takes_a_little_at_a_time_gets_everything(old, monkeypatch):
    class Little(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:7]))

    stdout = io.TextIOWrapper(Little())
    monkeypatch.setattr(sys, "stdout", stdout)
    write_edited("-", Checkpoint(old), {})
    monkeypatch.undo()
    assert stdout.buffer.getvalue() == old.read_bytes()


def test_a_reader_that_goes_away_is_an_error(tmp_path):
    code = """if True:
        from ckptedit.errors import WriteFailed
        from ckptedit.files import *
        import os, sys
        read, write_end = os.pipe()
        os.dup2(write_end, 1)
        os.close(read)
        try:
            write("-", [Spec("w", "U8", (1 << 20,))], [bytes(1 << 20)], {})
        except WriteFailed as error:
            print(error, file=sys.stderr)
            os._exit(0)
    """
    assert _python(code, tmp_path).stderr == "-: Broken pipe\n"


def test_a_terminal_gets_no_checkpoint(monkeypatch):
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(WriteFailed, match="stdout is a terminal"):
            check_output("-", force=True, in_place=True)
        monkeypatch.undo()
    os.close(controller)


# inputs that change


def test_an_input_that_changes_meanwhile_spoils_the_output(old, tmp_path):
    base = Checkpoint(old)

    def data():
        yield base.raw("w")
        os.utime(old, ns=(1, 1))

    with pytest.raises(BadCheckpoint, match="changed while it was read"):
        write(tmp_path / "new", SPECS, data(), {}, inputs=[base])
    assert listing(tmp_path) == [old.name]


def test_an_input_that_changes_and_gets_its_old_time_back_spoils_the_output(old, tmp_path):
    base, before = Checkpoint(old), old.stat()

    def data():
        yield base.raw("w")
        while old.stat().st_ctime_ns == before.st_ctime_ns:  # the system's clock ticks slowly
            old.write_bytes(old.read_bytes()[:-100] + bytes(100))
            os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(BadCheckpoint, match="changed while it was read"):
        write(tmp_path / "new", SPECS, data(), {}, inputs=[base])
    assert listing(tmp_path) == [old.name]


def test_an_input_that_is_cut_meanwhile_spoils_the_output(old, tmp_path):
    base = Checkpoint(old)
    os.truncate(old, 100)
    with pytest.raises(BadCheckpoint, match="truncated while it was read"):
        write_edited(tmp_path / "new", base, {})
    assert listing(tmp_path) == [old.name]


# durability


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """The calls that matter for what is left after a power cut, in their order."""
    made: list[str] = []

    def spy(name, real):
        def call(*arguments, **options):
            made.append(name)
            return real(*arguments, **options)

        return call

    for name in ("fsync", "link", "rename", "replace"):
        monkeypatch.setattr(os, name, spy(name, getattr(os, name)))
    return made


def test_the_file_is_on_the_disk_before_it_has_its_name(old, calls):
    calls.clear()
    put(old, 2, force=True)
    assert calls[0] == "fsync" and calls[-1] == "fsync"
    assert calls[-2] in ("replace", "rename")


def test_every_shard_is_on_the_disk_before_one_has_its_name(tmp_path, calls):
    specs = [Spec(str(i), "U8", (100,)) for i in range(3)]
    write(tmp_path / "out.safetensors", specs, [bytes(100)] * 3, {}, shard_size=100)
    assert calls[:4] == ["fsync"] * 4 and "link" in calls
    assert len(listing(tmp_path)) == 4


def test_nothing_of_the_process_stays_open(tmp_path):
    before = len([*Path("/proc/self/fd").iterdir()])
    for i in range(5):
        put(tmp_path / str(i), i)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
