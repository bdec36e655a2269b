#include "partition/group_graph.h"

#include <algorithm>
#include <numeric>

namespace tenon::partition {
namespace {

// Edges looked at before merging ends: about a second.
constexpr std::size_t kMaxSteps = 100'000'000;

}  // namespace

GroupGraph::GroupGraph(std::size_t nodes) : parent_(nodes), successors_(nodes), seen_(nodes, 0) {
  std::iota(parent_.begin(), parent_.end(), 0);
}

void GroupGraph::add_edge(int from, int to) { successors_[static_cast<std::size_t>(root(from))].push_back(to); }

int GroupGraph::root(int node) {
  while (parent_[static_cast<std::size_t>(node)] != node) {
    int& parent = parent_[static_cast<std::size_t>(node)];
    parent = parent_[static_cast<std::size_t>(parent)];
    node = parent;
  }
  return node;
}

void GroupGraph::unite(int a, int b) {
  a = root(a);
  b = root(b);
  if (a == b) return;
  if (a > b) std::swap(a, b);
  parent_[static_cast<std::size_t>(b)] = a;
  auto& kept = successors_[static_cast<std::size_t>(a)];
  auto& added = successors_[static_cast<std::size_t>(b)];
  if (kept.size() < added.size()) std::swap(kept, added);
  kept.insert(kept.end(), added.begin(), added.end());
  added = {};
}

void GroupGraph::merge_along(const std::vector<std::pair<int, int>>& edges) {
  for (bool changed = true; changed && steps_ < kMaxSteps;) {
    changed = false;
    for (const auto& [from, to] : edges) {
      const int a = root(from);
      const int b = root(to);
      ++steps_;
      if (a == b || steps_ >= kMaxSteps || path_around(a, b)) continue;
      unite(a, b);
      changed = true;
    }
  }
}

// Whether a path leads from one group to the other through a third. Gives up with "yes".
bool GroupGraph::path_around(int from, int to) {
  ++search_;
  queue_.clear();
  const auto visit = [&](int group) {
    if (std::uint32_t& seen = seen_[static_cast<std::size_t>(group)]; seen != search_) {
      seen = search_;
      queue_.push_back(group);
    }
  };
  for (int next : successors_[static_cast<std::size_t>(from)]) {
    const int group = root(next);
    ++steps_;
    if (group != from && group != to) visit(group);
  }
  for (std::size_t i = 0; i < queue_.size(); ++i) {  // nearest first
    for (int next : successors_[static_cast<std::size_t>(queue_[i])]) {
      const int group = root(next);
      if (group == to) return true;
      if (++steps_ >= kMaxSteps) return true;
      visit(group);
    }
  }
  return false;
}

}  // namespace tenon::partition
