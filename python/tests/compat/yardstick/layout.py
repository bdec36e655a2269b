"""The rule by which engines are compared with TF-TRT's.

TF-TRT put groups of nodes into engines, one group per engine. A conversion is as good or better when
  1. every node of a group is in an engine, and a group is not torn apart: all of it is in one engine;
  2. the engines that hold nodes of groups are at most as many as the groups (engines may have grown together);
  3. any further engine holds only nodes that TF-TRT ran natively.
Where TF-TRT made no engine, everything is allowed. Constants do not count: they are folded or copied.
"""


def engine_of(engines, node):
    """Names of the engines ({name: node names}) that hold the node, whatever scope inlining put it into."""
    return {name for name, nodes in engines.items() if any(n == node or n.endswith("/" + node) for n in nodes)}


def faults(engines, groups):
    """What makes the engines worse than TF-TRT's: a list of sentences."""
    found, used = [], set()
    for group in groups:
        where = {node: engine_of(engines, node) for node in group}
        native = [node for node in group if not where[node]]
        if native:
            found.append(f"native, but in an engine of TF-TRT: {', '.join(native)}")
        holders = set().union(*where.values()) if where else set()
        used |= holders
        if len(holders) > 1:
            found.append(f"one engine of TF-TRT, here {len(holders)}: {', '.join(group)}")
    if len(used) > len(groups):
        found.append(f"TF-TRT has {len(groups)} engines for these nodes, here {len(used)}")
    return found
