// Nodes that are activations by themselves.
#pragma once

#include "ir/graph.h"
#include "ops/fused.h"

namespace tenon::passes {

// The activation, alpha and beta of a node of one operand; kNone when it is not an activation.
ops::Epilogue activation_of(const ir::Node& node);

}  // namespace tenon::passes
