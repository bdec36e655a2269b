// depthwise_conv2d(conv2d(x)) -> fused_conv2d_depthwise, with a 1x1 convolution after it: what lies between them stays in the
// cache.
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

// One group, a constant filter, every output pixel from one input pixel.
bool is_pointwise(const ir::Node& conv, const ConvAttrs& attrs) {
  const Tensor* filter = constant_of(conv.inputs[1]);
  return filter != nullptr && filter->dim(0) == 1 && filter->dim(1) == 1 && filter->dim(2) > 0 && filter->dim(2) == last_dim(conv.inputs[0]) &&
         filter->dim(3) > 0 && attrs.strides == std::vector<std::int64_t>{1, 1} && attrs.padding != ops::Padding::kExplicit;
}

bool can_be_first(const ir::Node& conv) {
  if (!conv.is("fused_conv2d")) return false;
  const ConvAttrs attrs = ConvAttrs::parse(conv.attrs, 2);
  const Tensor* filter = constant_of(conv.inputs[1]);
  const std::int64_t channels = last_dim(conv.inputs[0]);
  if (filter == nullptr || channels < 1 || filter->dim(2) != channels || attrs.epilogue.residual != Residual::kNone) return false;
  return is_pointwise(conv, attrs) || (filter->dim(0) * filter->dim(1) * channels <= kMostWindow && filter->dim(3) <= kMostChannels);
}

bool can_be_second(const ir::Node& depthwise) {
  if (!depthwise.is("fused_depthwise_conv2d")) return false;
  const ConvAttrs attrs = ConvAttrs::parse(depthwise.attrs, 2);
  const Tensor* filter = constant_of(depthwise.inputs[1]);
  return filter != nullptr && filter->dim(3) == 1 && filter->num_elements() > 0 && attrs.epilogue.residual == Residual::kNone;
}

class Fuser {
 public:
  explicit Fuser(ir::Graph& graph) : editor_(graph), order_(editor_.order()) {}

  bool run() {
    for (ir::Node* node : order_) {
      if (!editor_.released(node)) fuse_pair(node);
    }
    for (ir::Node* node : order_) {
      if (!editor_.released(node)) fuse_projection(node);
    }
    return editor_.finish();
  }

 private:
  // The node that makes operand 0, when `node` alone uses it and may take it in.
  ir::Node* absorbable_producer(const ir::Node* node) const {
    const ir::Value value = node->inputs[0];
    return editor_.sole_user(value) == node && editor_.absorbable(value.node) ? value.node : nullptr;
  }

  void fuse_pair(ir::Node* depthwise) {
    if (!can_be_second(*depthwise)) return;
    ir::Node* conv = absorbable_producer(depthwise);
    if (conv == nullptr || !can_be_first(*conv)) return;
    const ops::ConvDepthwiseAttrs attrs{ConvAttrs::parse(conv->attrs, 2), ConvAttrs::parse(depthwise->attrs, 2), {}};
    std::vector<ir::Value> inputs{conv->inputs[0], conv->inputs[1], depthwise->inputs[1]};
    if (attrs.conv.epilogue.has_bias) inputs.push_back(conv->inputs[2]);
    if (attrs.depthwise.epilogue.has_bias) inputs.push_back(depthwise->inputs[2]);
    become(depthwise, conv, std::move(inputs), attrs);
  }

  void fuse_projection(ir::Node* conv) {
    if (!conv->is("fused_conv2d")) return;
    ir::Node* pair = absorbable_producer(conv);
    if (pair == nullptr || !pair->is("fused_conv2d_depthwise")) return;
    ops::ConvDepthwiseAttrs attrs = ops::ConvDepthwiseAttrs::parse(pair->attrs);
    const ConvAttrs projection = ConvAttrs::parse(conv->attrs, 2);
    if (attrs.projection || !is_pointwise(*conv, projection)) return;
    attrs.projection = projection;
    std::vector<ir::Value> inputs = pair->inputs;
    inputs.insert(inputs.end(), conv->inputs.begin() + 1, conv->inputs.end());
    become(conv, pair, std::move(inputs), attrs);
  }

  void become(ir::Node* node, ir::Node* absorbed, std::vector<ir::Value> inputs, const ops::ConvDepthwiseAttrs& attrs) {
    ir::Attrs stored;
    attrs.store(stored);
    ir::Node* list[] = {absorbed};
    editor_.become(node, "fused_conv2d_depthwise", std::move(inputs), std::move(stored), list);
  }

  Editor editor_;
  std::vector<ir::Node*> order_;
};

}  // namespace

bool fuse_depthwise(ir::Graph& graph) { return Fuser(graph).run(); }

}  // namespace tenon::passes
