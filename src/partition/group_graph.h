// Groups of a graph's nodes, and which of them can become one without closing a cycle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace tenon::partition {

// Nodes are numbers from 0; edges lead from smaller to greater ones. Every node starts as a group of its own.
class GroupGraph {
 public:
  explicit GroupGraph(std::size_t nodes);

  void add_edge(int from, int to);
  // The smallest node of a node's group.
  int root(int node);
  void unite(int a, int b);
  // Joins the groups that `edges` connect, in their order and as often as possible, unless another path leads from one to the
  // other. Deterministic; stops after a bounded number of steps, leaving groups apart that could be one.
  void merge_along(const std::vector<std::pair<int, int>>& edges);

 private:
  bool path_around(int from, int to);

  std::vector<int> parent_;
  std::vector<std::vector<int>> successors_;  // of roots: nodes that the group's nodes lead to
  std::vector<std::uint32_t> seen_;           // the search that visited a root last
  std::uint32_t search_ = 0;
  std::vector<int> queue_;
  std::size_t steps_ = 0;
};

}  // namespace tenon::partition
