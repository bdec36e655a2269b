// The order in which passes run.
#pragma once

#include <functional>
#include <string_view>

#include "passes/passes.h"

namespace tenon::passes {

struct PipelineOptions {
  FoldOptions fold;
  // Makes fused ops (ops/fused.h), and takes unknown sizes of inputs that meet in element-wise ops as equal: whoever runs the
  // graph checks that sizes of parameters that share a symbol are equal. Without it only folding, simplification and removal of duplicates run, which leave no op that
  // was not there: what a host executor wants.
  bool fuse = true;
  // Called after every pass that changed the graph, with the pass's name (inspect --stage). May be empty.
  std::function<void(std::string_view pass, const ir::Graph&)> observer;
};

// Rewrites the graph for speed; names of its outputs' nodes stay. Does nothing to graphs with TF1 control flow. Verified after
// every pass in builds with assertions.
void optimize(ir::Graph& graph, const PipelineOptions& options, SymbolSource& symbols);

}  // namespace tenon::passes
