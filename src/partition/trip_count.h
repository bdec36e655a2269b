// How often a loop runs, from what is known of its operands.
#pragma once

#include <optional>

#include "ir/infer_context.h"

namespace tenon::partition {

// Runs those parts of the condition and the body that decide when to stop. Nothing when they depend on values that `facts` does
// not know, or the loop runs very often.
std::optional<double> count_trips(const ir::Node& loop, const ir::Graph& condition, const ir::Graph& body, ir::InferFacts& facts);

}  // namespace tenon::partition
