#include "passes/pipeline.h"

#include <algorithm>

#include "ir/verify.h"
#include "ops/inference.h"

namespace tenon::passes {
namespace {

class Runner {
 public:
  Runner(ir::Graph& graph, const PipelineOptions& options) : graph_(graph), options_(options) {}

  bool operator()(std::string_view name, bool changed) {
    if (!changed) return false;
#ifndef NDEBUG
    ir::verify(graph_);
#endif
    if (options_.observer) options_.observer(name, graph_);
    return true;
  }

 private:
  ir::Graph& graph_;
  const PipelineOptions& options_;
};

bool has_control_flow(const ir::Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const auto& node) { return node->op->is(ir::kControlFlow); });
}

// Until nothing changes; each round makes the graph smaller or simpler, so a few are enough.
void clean(ir::Graph& graph, const PipelineOptions& options, SymbolSource& symbols, Runner& run) {
  for (int round = 0; round < 4; ++round) {
    bool changed = run("remove_identities", remove_identities(graph));
    changed |= run("fold_constants", fold_constants(graph, options.fold, symbols));
    changed |= run("simplify", simplify(graph));
    changed |= run("merge_duplicates", merge_duplicates(graph));
    if (!changed) return;
  }
}

}  // namespace

void optimize(ir::Graph& graph, const PipelineOptions& options, SymbolSource& symbols) {
  if (has_control_flow(graph)) return;
  Runner run(graph, options);
  run("widen_half", widen_half(graph));
  if (options.fuse) {  // before simplify makes targets of reshapes constant, which forgets symbols
    run("remove_identities", remove_identities(graph));
    run("fold_constants", fold_constants(graph, options.fold, symbols));
    run("use_nhwc", use_nhwc(graph));
    run("lower_einsum", lower_einsum(graph, symbols));
    run("unify_sizes", unify_sizes(graph));
  }
  clean(graph, options, symbols, run);
  if (!options.fuse) return;
  run("lower_to_fused", lower_to_fused(graph));
  run("fuse_dilation", fuse_dilation(graph));
  run("flatten_matmul", flatten_matmul(graph));
  run("fuse_activations", fuse_activations(graph));
  run("fuse_layer_norm", fuse_layer_norm(graph));
  run("fold_batch_norm", fold_batch_norm(graph));
  run("fuse_attention", fuse_attention(graph));
  run("fuse_epilogue", fuse_epilogue(graph));
  run("fold_padding", fold_padding(graph));
  run("fuse_depthwise", fuse_depthwise(graph));
  run("fuse_layer_norm_residual", fuse_layer_norm_residual(graph));
  run("fuse_elementwise", fuse_elementwise(graph));
  clean(graph, options, symbols, run);
}

}  // namespace tenon::passes
