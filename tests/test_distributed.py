"""Interrupted trainings resume; two processes learn what one does; one that dies stops both."""

import gc
import re
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import psutil
import pytest
import torch
from torch import distributed as torch_distributed
from torch.nn.parallel import DistributedDataParallel

from stages import distributed, download, sanity, train
from stages.checkpoint import TrainState
from stages.config import load_params
from stages.data import Split, load_dataset_info
from stages.io import WEIGHTS_FILE, StageError, run
from stages.train import CHECKPOINT_FILE, HISTORY_FILE
from tests.conftest import ROOT, edit_params


@pytest.fixture
def prepared(project: Path) -> Path:
    """The made-up project, ready to be trained for four epochs with every option of the loop."""
    edit_params(
        project,
        train__epochs=4,
        train__patience=3,
        data__augment__strength=0.1,
        data__augment__elastic_alpha=0.1,
        data__sampler__power=0.5,
        objective__schedule="one_cycle",
        objective__weight_decay=0.01,
    )
    download.main()
    return project


def digests() -> list[str]:
    return [sha256(path.read_bytes()).hexdigest() for path in (WEIGHTS_FILE, HISTORY_FILE)]


@pytest.mark.usefixtures("prepared")
def test_an_interrupted_training_resumes_and_gives_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train.main()
    wanted = digests()
    assert not CHECKPOINT_FILE.exists()

    save = TrainState.save

    def save_and_stop(state: TrainState, path: Path, *, fingerprint: str) -> None:
        save(state, path, fingerprint=fingerprint)
        if len(state.history) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainState, "save", save_and_stop)
        patch.setattr(sys, "argv", ["train"])
        with pytest.raises(SystemExit, match="130"):
            run(train.main)
    assert "interrupted; 2 of 4 epochs are kept in models/train.checkpoint: `make repro` or" in capsys.readouterr().err
    train.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "resuming after epoch 2"
    assert [line[:9] for line in lines[1:]] == ["epoch 3/4", "epoch 4/4"]
    assert digests() == wanted


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_another_training_or_a_damaged_checkpoint_starts_from_the_first_epoch(
    prepared: Path, capsys: pytest.CaptureFixture[str], damage: bytes | None
) -> None:
    train.main()
    wanted = digests()
    params = load_params(train.Params)
    images = Split(torch.zeros(500, 1, 28, 28), torch.zeros(500))
    info = load_dataset_info()
    state = train.build_state(params, images, info=info, device=torch.device("cpu"))
    state.save(CHECKPOINT_FILE, fingerprint="of another training")
    if damage is not None:
        (prepared / CHECKPOINT_FILE).write_bytes(damage)
    capsys.readouterr()
    train.main()
    assert "resuming" not in capsys.readouterr().out
    assert digests() == wanted


@pytest.mark.usefixtures("prepared")
def test_training_stops_early_without_a_lower_validation_loss_and_keeps_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = iter([0.5, 0.3, 0.4, 0.35, 0.2])
    monkeypatch.setattr(train, "validate", lambda *_: (next(losses), 0.9))
    edit_params(Path(), train__patience=2, train__epochs=50)
    train.main()
    history = HISTORY_FILE.read_text().splitlines()
    assert [line.split(",")[2] for line in history[1:]] == ["0.500000", "0.300000", "0.400000", "0.350000"]


def test_a_missing_gpu_is_reported(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    edit_params(prepared, train__device="cuda")
    with pytest.raises(StageError, match="torch finds no GPU; write `cpu` or `auto`"):
        train.main()
    edit_params(prepared, train__device="auto", train__epochs=1)
    train.main()
    assert (prepared / WEIGHTS_FILE).exists()


def start() -> subprocess.Popen[str]:
    """Start the stage."""
    command = [sys.executable, "-m", "stages.train"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_learn_what_one_does(prepared: Path) -> None:
    train.main()
    alone = HISTORY_FILE.read_text().splitlines()[-1].split(",")
    edit_params(prepared, train__processes=2)
    printed, complaints = start().communicate()
    assert complaints == f"warning: {next(sanity.check_steps(32))}\n"
    assert [line[:9] for line in printed.splitlines()] == [f"epoch {number}/4" for number in range(1, 5)]
    together = HISTORY_FILE.read_text().splitlines()[-1].split(",")
    assert float(together[2]) == pytest.approx(float(alone[2]), rel=0.1)  # hard images are drawn a little otherwise
    assert float(together[3]) == pytest.approx(float(alone[3]), abs=0.011)


def test_where_several_processes_changed_a_value_it_is_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.tensor([1.0, 1.0, 1.0, 1.0])
    own, others = torch.tensor([0.0, 0.5, 1.0, 1.0]), torch.tensor([0.5, 1.0, 2.0, 1.0])
    received = iter([others - before, (others != before).float()])
    monkeypatch.setattr(distributed, "launched", lambda: True)
    monkeypatch.setattr(torch_distributed, "all_reduce", lambda tensor: tensor.add_(next(received)))
    together = distributed.merge(before, own)
    torch.testing.assert_close(together, torch.tensor([0.25, 0.5, 2.0, 1.0]))


def test_the_documented_command_runs_on_each_of_two_machines(prepared: Path) -> None:
    text = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"^torchrun .*", text, flags=re.MULTILINE)
    with socket.create_server(("localhost", 0)) as free:
        port = str(free.getsockname()[1])
    command = documented.replace("HOST", "localhost").replace("29500", port)
    machines = []
    for number in (1, 0):  # both are this one; the one that others ask for comes last
        words = command.replace("--node-rank 0", f"--node-rank {number}").split()
        words[:1] = [sys.executable, "-m", "torch.distributed.run"]
        machines.append(subprocess.Popen(words, cwd=prepared, stdout=subprocess.PIPE, text=True))
    second, first = (machine.communicate()[0] for machine in machines)
    assert [machine.returncode for machine in machines] == [0, 0]
    assert [line[:9] for line in first.splitlines()] == [f"epoch {number}/4" for number in range(1, 5)]
    assert second == ""


@pytest.mark.usefixtures("prepared")
def test_nothing_outlives_the_process_group_that_would_wait_for_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    environment = {"TORCHELASTIC_RUN_ID": "alone", "RANK": "0", "WORLD_SIZE": "1"}
    for name, value in (environment | {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}).items():
        monkeypatch.setenv(name, value)
    alive, destroy = [], torch_distributed.destroy_process_group

    def count_and_destroy() -> None:
        alive.append(sum(type(thing) is DistributedDataParallel for thing in gc.get_objects()))
        destroy()

    monkeypatch.setattr(torch_distributed, "destroy_process_group", count_and_destroy)
    train.main()
    assert alive == [0]


def test_the_error_of_a_process_is_printed_above_the_line_that_reports_it(prepared: Path) -> None:
    edit_params(prepared, train__processes=2, train__batch_size=1)
    with start() as running:
        _, complaints = running.communicate()
    *of_processes, last = complaints.splitlines()
    wanted = "train: error: 2 processes cannot share a batch of 1: params.yaml, `train.batch_size`"
    assert set(of_processes) == {wanted}
    assert re.fullmatch(r"train: error: process [01] of 2 ended with exit code 1, .*: see its message above; .*", last)


def test_more_processes_than_a_machine_can_run_are_refused_before_one_is_started(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("torch.distributed.run.run", lambda _: pytest.fail("they were started"))
    edit_params(prepared, train__processes=5)
    with pytest.raises(StageError, match=r"`train\.processes` is 5; on this machine it must be 4 or less$"):
        train.main()


def test_a_process_that_dies_ends_the_others_and_the_next_run_resumes(prepared: Path) -> None:
    edit_params(prepared, train__processes=2, train__epochs=5_000, train__patience=None)
    with start() as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("epoch 1/5000")
        workers = psutil.Process(running.pid).children()
        workers[-1].kill()
        complaint = running.stderr.read().strip()
        assert running.wait() == 1
    assert "Traceback" not in complaint
    assert re.search(
        r"process [01] of 2 ended with \S.*, and the others were stopped: .* run it again", complaint.splitlines()[-1]
    )
    assert not [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    with start() as again:
        assert again.stdout is not None
        first = again.stdout.readline()
        psutil.Process(again.pid).terminate()
    assert first.startswith("resuming after epoch ")


def test_processes_end_when_the_one_that_started_them_is_killed(prepared: Path) -> None:
    edit_params(prepared, train__processes=2, train__epochs=5_000, train__patience=None)
    with start() as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("epoch 1/5000")
        workers = psutil.Process(running.pid).children()
        running.kill()
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert not alive
