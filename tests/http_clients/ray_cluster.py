"""Run a Ray cluster of two nodes on this machine; what is read from standard input kills a node, its end ends all.

Prints the cluster's address.
"""

import sys

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 200_000_000, "include_dashboard": False}

cluster = Cluster(initialize_head=True, head_node_args=NODE)
second = cluster.add_node(**NODE)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
try:
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)  # SIGKILL for each of its processes
        print("killed", flush=True)
finally:
    cluster.shutdown()
