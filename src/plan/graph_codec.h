// An optimized graph as bytes. Tensors lie in a blob beside it, so that a mapped plan is used where it lies.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ir/graph.h"
#include "plan/blob.h"

namespace tenon::plan {

// Nodes in order of creation; tensors go to `blob`. The NodeDefs of origins are left out. Throws kUnsupported for attributes that
// name functions and for tensors of resources.
std::string encode_graph(const ir::Graph& graph, BlobWriter& blob);

// The graph again; node ids count from 0. Tensors point into `blob`, which `owner` keeps alive and which is 64-byte aligned.
// `find_op` gives null for unknown names. Throws kIncompatiblePlan for anything that is not what encode_graph wrote.
std::unique_ptr<ir::Graph> decode_graph(std::string_view bytes, std::string_view blob, std::shared_ptr<const void> owner,
                                        const std::function<const ir::OpDef*(std::string_view)>& find_op);

}  // namespace tenon::plan
