// How much arithmetic the parts of a model do in one run, loops counted as often as they go round.
#pragma once

#include <unordered_map>

#include "ir/module.h"
#include "partition/function_types.h"
#include "partition/partition.h"

namespace tenon::build {

// From node to its copy that has the types to measure at.
using MeasuredNodes = std::unordered_map<const ir::Node*, ir::Node*>;

class Work {
 public:
  // `trips` speaks of copies; a loop that it leaves out counts once, and so does every branch. What is passed must outlive this.
  Work(const ir::Module& module, const partition::Partition& partition, const MeasuredNodes& copies, const partition::TripCounts& trips);

  // Floating-point operations of one evaluation, those of the functions that the node runs included.
  double of_node(const ir::Node& node);
  // How often a run of the model runs the main graph (once) or a function that the partition looked into.
  double runs(const ir::Graph& graph);

 private:
  double times(const ir::Node& node, const partition::Call& call) const;
  double of_function(const std::string& name);

  const ir::Module& module_;
  const partition::Partition& partition_;
  const MeasuredNodes& copies_;
  const partition::TripCounts& trips_;
  std::unordered_map<const ir::Graph*, double> runs_;
  std::unordered_map<const ir::Graph*, double> of_function_;
};

}  // namespace tenon::build
