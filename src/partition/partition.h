// Chooses the parts of a model that become engines, in its main graph and in the functions that native loops and branches run, and
// says of every other node why it stays native.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "backend/backend.h"
#include "ir/module.h"
#include "partition/functions.h"

namespace tenon::partition {

struct PartitionOptions {
  Precision precision = {};
  // Fewest effective nodes of a segment: Identity, Snapshot and StopGradient do not count, constants do. -1: no segments.
  int minimum_segment_size = 3;
  // TensorFlow op types and nodes that stay native.
  std::vector<std::string> op_denylist = {};
  std::vector<std::string> node_denylist = {};
  // TF-TRT's rule: a segment's nodes work on one batch, dimension 0 of what they read.
  bool implicit_batch = false;
  int maximum_engines = 0;  // the largest are kept; 0: all
  int graph_number = 0;     // the first number in the names
};

// A convex part of a graph: no path leaves it and comes back.
struct SegmentPlan {
  std::string name;                     // "TRTEngineOp_000_000"
  const ir::Graph* graph = nullptr;     // the main graph or a function
  std::vector<ir::Node*> nodes;         // what the engine computes, producers first; constants left out
  std::vector<ir::Node*> constants;     // what is copied into it: constants, frozen reads, and nodes derived from them
  std::vector<ir::Value> inputs;        // distinct, in order of first use; variable handles among them
  std::vector<Known> known;             // of each input; its value is built into the engine
  std::vector<ir::Value> outputs;       // values that others read, in order of nodes
};

struct Partition {
  std::vector<SegmentPlan> segments;
  // Every node that the kept signatures need and no segment computes, except constants -> why it is native.
  std::unordered_map<const ir::Node*, std::string> native_reasons;
  // The nodes that kept signatures need; in `functions`, those that their results need.
  std::unordered_set<const ir::Node*> needed;
  // Functions that were looked into, callers first, and the While, If and Case nodes that run them natively.
  std::vector<const ir::Graph*> functions;
  std::unordered_set<const ir::Node*> callers;
};

// Deterministic. A variable that anything reachable from a signature or the initializer assigns is not frozen, so what reads it
// stays native or feeds an engine as an input. Functions should have types (infer_functions).
Partition partition(const ir::Module& module, const Backend& backend, const PartitionOptions& options);

// Every node that the backend could run by itself and for which `wanted` is true, as a segment of that one node (and the
// constants it reads). Names are the nodes'.
std::vector<SegmentPlan> lone_nodes(const ir::Module& module, const Backend& backend,
                                    const std::function<bool(const ir::Node&)>& wanted);

// Leaves a planned segment native.
void dissolve(Partition& partition, std::size_t segment, const std::string& reason);

// The segment as a graph of its own: parameters for the inputs, those that are known with the attribute "variable" or "constant".
Segment extract(const SegmentPlan& plan);

// Handles of variables that nothing reachable from a signature or the initializer assigns.
std::unordered_set<const ir::Node*> frozen_variables(const ir::Module& module);

}  // namespace tenon::partition
