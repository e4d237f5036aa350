"""A Ray cluster of several nodes on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster


@contextmanager
def ray_cluster(nodes: int) -> Iterator[str]:
    """Starts a cluster, whose address it yields, and ends it.

    Args:
        nodes: of one core each.
    """
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
