// reshape(matmul(reshape(x), w)) -> fused_matmul(x, w) when the reshapes only merge and restore the leading dims.
#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

// True when `merged` is x with all dims but the last made one.
bool merges_rows(const PartialShape& x, const PartialShape& merged) {
  return x.known_rank() && merged.known_rank() && x.rank() >= 2 && merged.rank() == 2 && merged[1].known() && merged[1].size() > 0 &&
         x[x.rank() - 1] == merged[1];
}

// True when `result` has the leading dims of x.
bool restores_rows(const PartialShape& x, const PartialShape& result) {
  if (!result.known_rank() || result.rank() != x.rank()) return false;
  for (int i = 0; i + 1 < x.rank(); ++i) {
    if (x[i] != result[i]) return false;
  }
  return true;
}

bool flatten(Editor& editor, ir::Node* restore) {
  if (!restore->is("reshape")) return false;
  ir::Node* matmul = restore->inputs[0].node;
  if (!matmul->is("fused_matmul") || editor.sole_user(matmul->output()) != restore || !editor.absorbable(matmul)) return false;
  const auto attrs = ops::MatMulAttrs::parse(matmul->attrs);
  if (attrs.transpose_a || attrs.epilogue.residual != ops::Residual::kNone) return false;
  ir::Node* merge = matmul->inputs[0].node;
  const PartialShape& weights = shape_of(matmul->inputs[1]);
  if (!merge->is("reshape") || !weights.known_rank() || weights.rank() != 2) return false;
  const ir::Value x = merge->inputs[0];
  if (!merges_rows(shape_of(x), merge->outputs[0].shape) || !restores_rows(shape_of(x), restore->outputs[0].shape)) return false;
  if (last_dim(restore->output()) < 0 || last_dim(restore->output()) != last_dim(matmul->output())) return false;
  std::vector<ir::Value> inputs = matmul->inputs;
  inputs[0] = x;
  std::vector<ir::Node*> absorbed{matmul, restore};
  if (editor.sole_user(merge->output()) == matmul) absorbed.push_back(merge);
  editor.become(restore, "fused_matmul", std::move(inputs), matmul->attrs, absorbed);
  return true;
}

}  // namespace

bool flatten_matmul(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!editor.released(node)) flatten(editor, node);
  }
  return editor.finish();
}

}  // namespace tenon::passes
