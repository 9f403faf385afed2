"""Runners by the names of the verbs' flags."""

from synsight.errors import UsageError
from synsight.ray_cluster import check_runner
from synsight.stages.contract import Runner

RUNNERS = ("local", "processes", "ray")
"""Where stages run, by the names of a verb's `--runner`."""


def runner(name: str = "local", *, address: str | None = None) -> Runner | None:
    """The runner that a verb's flags `--runner` and `--address` ask for.

    Args:
        name: `local`: this process; `processes`: one a processor core of this machine; `ray`: a Ray cluster.
        address: Of the cluster; None: that of RAY_ADDRESS, else one on this machine.

    Returns:
        None for this process, in which each stage has as many threads as suit it.

    Raises:
        UsageError: An unknown name, or an address without a cluster.
        MissingDependency: Ray is not installed.
    """
    check_runner(name, RUNNERS)
    if name == "ray":
        from synsight.ray_data import RayRunner

        return RayRunner(address=address)
    if address is not None:
        raise UsageError(f"the address {address!r} is of a cluster; add --runner ray, or leave it out.")
    if name == "processes":
        from synsight.process_pool import ProcessRunner

        return ProcessRunner()
    return None
