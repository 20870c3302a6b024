"""Processes of one job: how many there are, which one this is, and where they meet.

The user says so by flags, or a launcher does by variables of the environment: SLURM's srun, torchrun and what
is like it, Open MPI's mpirun. Nothing here imports JAX.
"""

import dataclasses
import re
import zlib
from collections.abc import Mapping

from msa_jax.errors import UserError

_PORTS = 20_000, 10_000  # the first and the number of those that the number of a job chooses from


@dataclasses.dataclass(frozen=True)
class Group:
    """This process among those of its job.

    Attributes:
      process: 0 to processes - 1; the first one writes and speaks.
      processes: how many there are, at least 2.
      host, port: where the first one waits for the others; it takes the port after it, too.
      local: which one this is on its machine; None where it is alone there, or that is not known.
      source: who said so.
      job: what tells its processes from those of another job that meets at the same place.
    """

    process: int
    processes: int
    host: str
    port: int
    local: int | None
    source: str
    job: str = ""


def find(
    processes: int | None, process: int | None, coordinator: str | None, environ: Mapping[str, str]
) -> Group | None:
    """The group that flags or the environment name; None where this process is alone.

    Args:
      processes, process, coordinator: the flags, `coordinator` as HOST:PORT; None where one is not given.
        `processes` of 1 means alone, whatever the environment says.
      environ: the environment.

    Raises:
      UserError: when a flag is missing or wrong, or a launcher does not say where the processes meet.
    """
    if processes is None and process is None and coordinator is None:
        return _torchrun(environ) or _slurm(environ) or _open_mpi(environ)
    if processes is not None and processes < 1:
        raise UserError(f"--processes: {processes} is less than 1")
    if processes == 1:
        return None
    flags = {"processes": processes, "process": process, "coordinator": coordinator}
    for name, value in flags.items():
        if value is None:
            raise UserError(
                f"--{name} is missing: each of several processes needs --processes=N, --process=0 to N-1 and "
                "--coordinator=HOST:PORT, the machine of process 0 and a free port there"
            )
    if not 0 <= process < processes:
        raise UserError(f"--process: {process} is not one of 0 to {processes - 1}")
    host, port = _address(coordinator, "--coordinator")
    return Group(process, processes, host, port, None, "the flags")


def _address(text: str, what: str) -> tuple[str, int]:
    match = re.fullmatch(r"\[?([^\[\]]+?)\]?:(\d{1,5})", text)
    if not match or not 0 < int(match[2]) < 65_535:
        raise UserError(f"{what}: {text!r} is not HOST:PORT with a port of 1 to 65534")
    return match[1], int(match[2])


def _whole(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def _group(
    environ: Mapping[str, str],
    rank: str,
    size: str,
    local: str,
    address: tuple[str, int],
    source: str,
    *,
    neighbours: bool,
    job: str,
) -> Group | None:
    process, processes = _whole(environ, rank), _whole(environ, size)
    if process is None or processes is None or processes < 2:
        return None
    if process >= processes:
        raise UserError(f"{rank}={process} is not below {size}={processes}; unset both, or mend the launcher")
    here = _whole(environ, local) if neighbours else None
    return Group(process, processes, *address, here, source, job)


def _torchrun(environ: Mapping[str, str]) -> Group | None:
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environ.keys():
        return None
    address = _address(f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']}", "MASTER_ADDR and MASTER_PORT")
    # torchrun's own store listens at that port.
    taken = "TORCHELASTIC_RUN_ID" in environ
    place = (address[0], address[1] + taken)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    neighbours = (_whole(environ, "LOCAL_WORLD_SIZE") or 1) > 1
    job = environ.get("TORCHELASTIC_RUN_ID", "")
    return _group(environ, *names, place, "RANK and WORLD_SIZE", neighbours=neighbours, job=job)


def _slurm(environ: Mapping[str, str]) -> Group | None:
    # Of a step that srun has begun: a script's own commands have SLURM_NTASKS, too, and are alone.
    if not {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_JOB_ID"} <= environ.keys():
        return None
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    job = f"{environ['SLURM_JOB_ID']}.{environ.get('SLURM_STEP_ID', '')}"
    address = (first_node(nodes), _port(job))
    names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    # As in 2(x3),1: two on each of three machines, and one on the next.
    here = re.findall(r"(\d+)(?:\(x\d+\))?", environ.get("SLURM_STEP_TASKS_PER_NODE", ""))
    neighbours = any(int(count) > 1 for count in here)
    return _group(environ, *names, address, "SLURM", neighbours=neighbours, job=job)


def first_node(nodes: str) -> str:
    """The first machine of a list as SLURM writes it, such as gpu[003-007,9],login1."""
    match = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\])?([^,\[]*)", nodes)
    if not match:
        raise UserError(f"SLURM_STEP_NODELIST={nodes!r} names no machine; say --coordinator=HOST:PORT")
    return f"{match[1]}{match[2] or ''}{match[3]}"


def _open_mpi(environ: Mapping[str, str]) -> Group | None:
    size = _whole(environ, "OMPI_COMM_WORLD_SIZE")
    if size is None or size < 2:
        return None
    there = re.search(r"tcp://([^,:;]+)", environ.get("OMPI_MCA_orte_hnp_uri", ""))
    if there:
        host = there[1]
    elif _whole(environ, "OMPI_COMM_WORLD_LOCAL_SIZE") == size:
        host = "127.0.0.1"
    else:
        raise UserError(
            "Open MPI does not say where its processes can meet; say --processes, --process and "
            "--coordinator=HOST:PORT, or start them by srun"
        )
    job = environ.get("OMPI_MCA_ess_base_jobid") or environ.get("PMIX_NAMESPACE") or ""
    names = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK")
    neighbours = (_whole(environ, "OMPI_COMM_WORLD_LOCAL_SIZE") or 1) > 1
    return _group(environ, *names, (host, _port(job)), "Open MPI", neighbours=neighbours, job=job)


def _port(job: str) -> int:
    """A port that the processes of a job agree on, and those of another hardly share, as is the next."""
    first, count = _PORTS
    return first + 2 * (zlib.crc32(job.encode()) % (count // 2))
