// conv(pad(x)) -> conv with explicit padding; max_pool(pad(x)) where x is never negative likewise.
#include <algorithm>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/one_dimension.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

// The amounts a pad node adds before and after each spatial dim of an NHWC value; nothing when it adds elsewhere, takes away or
// does not pad with zeros.
std::optional<std::vector<std::int64_t>> spatial_pads(const ir::Node& node, int spatial) {
  if (!node.is("pad") || node.inputs.size() < 2 || !is_float(node.inputs[0])) return std::nullopt;
  if (node.inputs.size() == 3 && scalar_of(node.inputs[2]) != 0.0f) return std::nullopt;
  const Tensor* paddings = constant_of(node.inputs[1]);
  if (paddings == nullptr || paddings->rank() != 2 || paddings->dim(0) != spatial + 2 || paddings->dim(1) != 2) return std::nullopt;
  std::vector<std::int64_t> all;
  if (paddings->dtype() == DataType::kInt32) {
    all.assign(paddings->flat<std::int32_t>().begin(), paddings->flat<std::int32_t>().end());
  } else if (paddings->dtype() == DataType::kInt64) {
    all.assign(paddings->flat<std::int64_t>().begin(), paddings->flat<std::int64_t>().end());
  }
  constexpr std::int64_t kMost = 1 << 16;
  if (all.empty() || std::any_of(all.begin(), all.end(), [](std::int64_t p) { return p < 0 || p > kMost; })) return std::nullopt;
  if (all[0] != 0 || all[1] != 0 || all.end()[-1] != 0 || all.end()[-2] != 0) return std::nullopt;
  return std::vector<std::int64_t>(all.begin() + 2, all.end() - 2);
}

// What a convolution reads: x padded by some amounts, in its own rank.
struct Padded {
  ir::Node* pad;
  std::vector<std::int64_t> pads;
  bool single_row = false;  // the pad is of [N,W,C], a reshape makes [N,1,W,C] of it
};

std::optional<Padded> padded_input(const ir::Node& node, int spatial) {
  ir::Node* input = node.inputs[0].node;
  if (auto pads = spatial_pads(*input, spatial)) return Padded{input, *std::move(pads)};
  if (spatial != 2 || !input->is("reshape")) return std::nullopt;
  ir::Node* pad = input->inputs[0].node;
  const auto pads = spatial_pads(*pad, 1);
  if (!pads || !is_single_row(pad->outputs[0].shape, input->outputs[0].shape)) return std::nullopt;
  return Padded{pad, {0, 0, (*pads)[0], (*pads)[1]}, true};
}

bool fold_into_convolution(Editor& editor, ir::Node* node, int spatial) {
  const auto found = padded_input(*node, spatial);
  if (!found) return false;
  auto attrs = ops::ConvAttrs::parse(node->attrs, spatial);
  std::vector<std::int64_t> total = found->pads;
  const PartialShape padded = shape_of(node->inputs[0]);
  const PartialShape& filter = shape_of(node->inputs[1]);
  for (int i = 0; i < spatial; ++i) {
    const auto d = static_cast<std::size_t>(2 * i);
    if (attrs.padding == ops::Padding::kExplicit) {
      total[d] += attrs.pads[d];
      total[d + 1] += attrs.pads[d + 1];
    } else if (attrs.padding == ops::Padding::kSame) {  // depends on the padded size
      if (!padded.known_rank() || !padded[i + 1].known() || !filter.known_rank() || !filter[i].known()) return false;
      const auto [before, after] = attrs.pads_of(i, padded[i + 1].size(), filter[i].size());
      total[d] += before;
      total[d + 1] += after;
    }
  }
  attrs.padding = ops::Padding::kExplicit;
  attrs.pads = std::move(total);
  ir::Attrs stored;
  attrs.store(stored);
  std::vector<ir::Value> inputs = node->inputs;
  inputs[0] = found->pad->inputs[0];
  if (found->single_row) inputs[0] = widened(editor, inputs[0], node->inputs[0].node->name);
  if (!inputs[0]) return false;
  ir::Node* absorbed[] = {found->pad};
  editor.become(node, node->op->name, std::move(inputs), std::move(stored), absorbed);
  return true;
}

// True when every element is at least 0, or NaN.
bool never_negative(ir::Value value) {
  const ir::Node& node = *value.node;
  if (node.is("relu") || node.is("relu6") || node.is("sigmoid") || node.is("square") || node.is("abs")) return true;
  if (!node.is("fused_conv2d") && !node.is("fused_depthwise_conv2d") && !node.is("channel_affine")) return false;
  const auto epilogue = ops::Epilogue::parse(node.attrs);
  if (epilogue.residual == ops::Residual::kAfter) return false;
  switch (epilogue.activation) {
    case ops::Activation::kRelu:
    case ops::Activation::kRelu6:
    case ops::Activation::kSigmoid:
      return true;
    case ops::Activation::kClip:
      return epilogue.alpha >= 0;
    default:
      return false;
  }
}

// The padding of a max pool is -inf, which every window's real elements exceed; zeros do so too when there are no negative ones.
bool fold_into_max_pool(Editor& editor, ir::Node* node) {
  ir::Node* pad = node->inputs[0].node;
  const auto pads = spatial_pads(*pad, 2);
  const auto format = node->attr_or<std::string>("data_format", "NHWC");
  const auto window = node->attr_or<std::vector<std::int64_t>>("ksize", {});
  if (!pads || format != "NHWC" || window.size() != 4 || node->attr_or<std::string>("padding", "") != "VALID") return false;
  if (!never_negative(pad->inputs[0]) || node->inputs.size() != 1) return false;
  for (std::size_t i = 0; i < 2; ++i) {  // every window holds a real element, also the last one
    if ((*pads)[2 * i] >= window[i + 1] || (*pads)[2 * i + 1] >= window[i + 1]) return false;
  }
  ir::Attrs attrs = node->attrs;
  attrs.set("padding", std::string("EXPLICIT"));
  attrs.set("explicit_paddings", std::vector<std::int64_t>{0, 0, (*pads)[0], (*pads)[1], (*pads)[2], (*pads)[3], 0, 0});
  ir::Node* absorbed[] = {pad};
  editor.become(node, node->op->name, {pad->inputs[0]}, std::move(attrs), absorbed);
  return true;
}

}  // namespace

bool fold_padding(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (editor.released(node)) continue;
    if (node->is("fused_conv2d") || node->is("fused_depthwise_conv2d")) fold_into_convolution(editor, node, 2);
    if (node->is("fused_conv3d")) fold_into_convolution(editor, node, 3);
    if (node->is("max_pool")) fold_into_max_pool(editor, node);
  }
  return editor.finish();
}

}  // namespace tenon::passes
