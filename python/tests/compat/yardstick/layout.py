"""The rule by which engines are compared with TF-TRT's.

TF-TRT put groups of nodes into engines, one group per engine. A conversion is as good or better when
  1. every node of every group is in an engine;
  2. the engines that hold these nodes are at most as many as the groups: borders may lie elsewhere, engines may have grown
     together;
  3. any further engine thus holds only nodes that TF-TRT ran natively.
Where TF-TRT made no engine, everything is allowed. Constants do not count: they are folded or copied.
"""


def engines_of(engines, node):
    """Names of the engines ({name: node names}) that hold the node, whatever scope inlining put it into."""
    return {name for name, nodes in engines.items() if any(n == node or n.endswith("/" + node) for n in nodes)}


def faults(engines, groups):
    """What makes the engines worse than TF-TRT's: a list of sentences."""
    holders = {node: engines_of(engines, node) for group in groups for node in group}
    native = [node for node, found in holders.items() if not found]
    used = set().union(*holders.values())
    found = [f"native, but in an engine of TF-TRT: {', '.join(native)}"] if native else []
    if len(used) > len(groups):
        found.append(f"TF-TRT has {len(groups)} engines for these nodes, here {len(used)}: {', '.join(sorted(used))}")
    return found
