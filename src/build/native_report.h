// What of a partition stays native, for people.
#pragma once

#include <vector>

#include "partition/partition.h"
#include "tenon/convert.h"

namespace tenon::build {

// Whether a native node is worth a line: not inputs, variables' handles and what only passes on.
bool is_reported(const ir::Node& node);
// Adds the native nodes by op type and reason, most frequent first.
void add_native_nodes(const partition::Partition& partition, ConvertReport& report);
// All nodes that the kept signatures need, of the main graph and of the functions that were divided.
std::vector<ConvertedNode> converted_nodes(const ir::Module& module, const partition::Partition& partition);

}  // namespace tenon::build
