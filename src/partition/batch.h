// The batch that a node works on, in TF-TRT's implicit batch mode (TF-TRT behaviour 2.5 and 2.6).
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ir/graph.h"

namespace tenon::partition {

// Dimension 0 of the operand of highest rank, among those that decide the batch for the node's op type. Nothing when it cannot be told;
// `reason` then says why. Constants may have any shape; other operands need a batch.
std::optional<Dim> batch_of(const ir::Node& node, const std::function<bool(const ir::Value&)>& is_constant, std::string& reason);

}  // namespace tenon::partition
