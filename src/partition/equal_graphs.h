// Graphs that compute the same under other names: one engine serves them all.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "ir/module.h"

namespace tenon::partition {

// How a graph corresponds to one that computes the same.
struct Correspondence {
  std::unordered_map<const ir::Node*, const ir::Node*> nodes;  // this graph's -> the other's
  std::vector<std::size_t> parameters;  // for each of this graph's parameters, the index of the other's
};

// Compares ops, attributes, constants, edges, types (up to the names of symbols) and the functions that are called; names of
// nodes and functions may differ, and the order of nodes. Outputs stand in one order; parameters may be in another where
// `reorder` permits it. Functions are looked up in `module`, which may be null for graphs that call none.
std::optional<Correspondence> corresponding(const ir::Graph& a, const ir::Graph& b, const ir::Module* module, bool reorder = false);

}  // namespace tenon::partition
