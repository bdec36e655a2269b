// depthwise_conv2d(conv2d(x)) -> fused_conv2d_depthwise: what lies between them stays in the cache.
#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

using ops::ConvAttrs;
using ops::Residual;

// Every task repeats the first convolution's reading of its input for its own channels. That is little for 1x1 windows, and
// for others where the filters are few.
constexpr std::int64_t kMostWindow = 64, kMostChannels = 64;

bool first_fits(const ir::Node& conv, const ConvAttrs& attrs) {
  const Tensor* filter = constant_of(conv.inputs[1]);
  const std::int64_t channels = last_dim(conv.inputs[0]);
  if (filter == nullptr || channels < 1 || filter->dim(2) != channels || attrs.epilogue.residual != Residual::kNone) return false;
  const bool pointwise = filter->dim(0) == 1 && filter->dim(1) == 1 && attrs.strides == std::vector<std::int64_t>{1, 1} &&
                         attrs.padding != ops::Padding::kExplicit;
  return pointwise || (filter->dim(0) * filter->dim(1) * channels <= kMostWindow && filter->dim(3) <= kMostChannels);
}

bool second_fits(const ir::Node& depthwise, const ConvAttrs& attrs) {
  const Tensor* filter = constant_of(depthwise.inputs[1]);
  return filter != nullptr && filter->dim(3) == 1 && filter->num_elements() > 0 && attrs.epilogue.residual == Residual::kNone;
}

void fuse(Editor& editor, ir::Node* depthwise) {
  const ir::Value middle = depthwise->inputs[0];
  ir::Node* conv = middle.node;
  if (!conv->is("fused_conv2d") || editor.sole_user(middle) != depthwise || !editor.absorbable(conv)) return;
  const ops::ConvDepthwiseAttrs attrs{ConvAttrs::parse(conv->attrs, 2), ConvAttrs::parse(depthwise->attrs, 2)};
  if (!first_fits(*conv, attrs.conv) || !second_fits(*depthwise, attrs.depthwise)) return;
  std::vector<ir::Value> inputs{conv->inputs[0], conv->inputs[1], depthwise->inputs[1]};
  if (attrs.conv.epilogue.has_bias) inputs.push_back(conv->inputs[2]);
  if (attrs.depthwise.epilogue.has_bias) inputs.push_back(depthwise->inputs[2]);
  ir::Attrs stored;
  attrs.store(stored);
  ir::Node* absorbed[] = {conv};
  editor.become(depthwise, "fused_conv2d_depthwise", std::move(inputs), std::move(stored), absorbed);
}

}  // namespace

bool fuse_depthwise(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!editor.released(node) && node->is("fused_depthwise_conv2d")) fuse(editor, node);
  }
  return editor.finish();
}

}  // namespace tenon::passes
