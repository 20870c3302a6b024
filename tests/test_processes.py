"""Tests of which process this is, by flags and by what launchers say."""

import pytest

from msa_jax.errors import UserError
from msa_jax.processes import Group, find, first_node

TORCHRUN = {
    **{"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"},
    **{"MASTER_ADDR": "node1", "MASTER_PORT": "29500"},
}
SLURM = {
    **{"SLURM_JOB_ID": "41000", "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1"},
    **{"SLURM_STEP_NODELIST": "gpu[003-004]", "SLURM_STEP_TASKS_PER_NODE": "2(x2)", "SLURM_NTASKS": "4"},
}
MPI = {
    **{"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
    **{"OMPI_COMM_WORLD_LOCAL_SIZE": "2", "OMPI_MCA_ess_base_jobid": "1234"},
}


def found(environ, **flags):
    names = ("processes", "process", "coordinator")
    return find(*(flags.get(name) for name in names), environ)


def test_without_flags_and_variables_a_process_is_alone():
    assert found({}) is None
    assert found({}, processes=1) is None


def test_flags():
    group = found({}, processes=2, process=1, coordinator="node7:3000")
    assert group == Group(1, 2, "node7", 3000, None, "the flags")
    assert found({}, processes=2, process=0, coordinator="[::1]:3000").host == "::1"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"processes": 2}, "--process is missing"),
        ({"processes": 2, "process": 0}, "--coordinator is missing"),
        ({"process": 0, "coordinator": "a:1"}, "--processes is missing"),
        ({"processes": 2, "process": 2, "coordinator": "a:1"}, "--process: 2 is not one of 0 to 1"),
        ({"processes": 2, "process": -1, "coordinator": "a:1"}, "--process: -1 is not one of 0 to 1"),
        ({"processes": 0, "process": 0, "coordinator": "a:1"}, "--processes: 0 is less than 1"),
        ({"processes": 2, "process": 1, "coordinator": "a"}, "--coordinator: 'a' is not HOST:PORT"),
        ({"processes": 2, "process": 1, "coordinator": "a:70000"}, "--coordinator: 'a:70000' is not HOST"),
    ],
)
def test_wrong_flags_are_named(flags, said):
    with pytest.raises(UserError, match=said):
        found({}, **flags)


def test_torchrun():
    assert found(TORCHRUN) == Group(5, 8, "node1", 29500, 1, "RANK and WORLD_SIZE")
    # Its own store listens at MASTER_PORT.
    assert found({**TORCHRUN, "TORCHELASTIC_RUN_ID": "x"}).port == 29501
    assert found({**TORCHRUN, "LOCAL_WORLD_SIZE": "1"}).local is None  # all GPUs of its machine are its own
    assert found({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}) is None
    with pytest.raises(UserError, match="RANK=8 is not below WORLD_SIZE=8"):
        found({**TORCHRUN, "RANK": "8"})


def test_slurm():
    group = found(SLURM)
    assert (group.process, group.processes, group.host, group.local) == (3, 4, "gpu003", 1)
    assert group.source == "SLURM"
    assert (
        group.port == found({**SLURM, "SLURM_PROCID": "0"}).port != found({**SLURM, "SLURM_JOB_ID": "1"}).port
    )
    # One process on each machine has all its GPUs; the script of a job is alone, whatever its tasks are.
    assert found({**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x4)"}).local is None
    assert found({k: v for k, v in SLURM.items() if k != "SLURM_STEP_NUM_TASKS"}) is None


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("login1", "login1"),
        ("gpu[003-007,9],login1", "gpu003"),
        ("gpu[12]", "gpu12"),
        ("a1,a2", "a1"),
        ("rack[1-2]-node,x", "rack1-node"),
    ],
)
def test_first_machine_of_slurms_list(nodes, first):
    assert first_node(nodes) == first


def test_open_mpi():
    group = found(MPI)
    assert (group.process, group.processes, group.host, group.local) == (1, 2, "127.0.0.1", 1)
    far = {**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}
    with pytest.raises(UserError, match="Open MPI does not say where its processes can meet"):
        found(far)
    there = found({**far, "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.7,127.0.0.1:41543"})
    assert (there.host, there.local) == ("10.0.0.7", None)


def test_flags_win_over_variables():
    assert found(TORCHRUN, processes=1) is None
    assert found(SLURM, processes=2, process=0, coordinator="h:5").source == "the flags"
