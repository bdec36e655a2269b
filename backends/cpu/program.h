// An optimized graph with a lowering for every node: what a plan holds, ready for any shape.
#pragma once

#include <memory>
#include <vector>

#include "backends/cpu/lowering/lowering.h"
#include "ir/graph.h"

namespace tenon::cpu {

struct ProgramNode {
  ir::Node* node = nullptr;
  Lowered lowered;
};

struct Program {
  std::unique_ptr<ir::Graph> graph;
  std::vector<ProgramNode> nodes;  // producers first; neither parameters nor constants
  // Parameters whose values decide shapes: small integer tensors that sizes are computed from.
  std::vector<int> shape_parameters;
};

// Lowers every node. Throws kUnsupported for one that cannot be lowered.
Program make_program(std::unique_ptr<ir::Graph> graph, WeightSource& weights);

// The op of a constant whose value was packed away: attributes dtype and shape.
const ir::OpDef& packed_const_op();
bool is_constant_node(const ir::Node& node);

// Elements of a parameter that may decide shapes.
inline constexpr std::int64_t kMaxShapeElements = 64;

}  // namespace tenon::cpu
