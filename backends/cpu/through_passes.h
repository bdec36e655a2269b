// Ops that the backend has no kernel for in the form that a model has them, but has once passes have rewritten them.
#pragma once

#include "base/verdict.h"
#include "ir/graph.h"

namespace tenon::cpu {

// Tries the passes on the node alone: yes when all that they make of it has kernels. Only for ops that passes rewrite
// (einsum, batch norms, channels-first images); a no without a reason for others.
Verdict supports_through_passes(const ir::Node& node);

}  // namespace tenon::cpu
