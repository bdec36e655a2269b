// conv2d, depthwise_conv2d, conv3d, conv2d_transpose, matmul in float32 and NHWC -> fused_*, epilogues still empty.
#include <algorithm>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

struct Convolution {
  std::string_view op, fused;
  int spatial;
  int data;  // which operand is the image
};

constexpr Convolution kConvolutions[] = {
    {"conv2d", "fused_conv2d", 2, 0},
    {"depthwise_conv2d", "fused_depthwise_conv2d", 2, 0},
    {"conv3d", "fused_conv3d", 3, 0},
    {"conv2d_transpose", "fused_conv2d_transpose", 2, 2},
};

bool all_float(const ir::Node& node, std::size_t first) {
  return std::all_of(node.inputs.begin() + static_cast<std::ptrdiff_t>(first), node.inputs.end(), is_float) &&
         node.outputs[0].dtype == DataType::kFloat32;
}

// The spatial part of an attribute with one number per dim, NHWC; ones when the attribute is missing or empty.
std::optional<std::vector<std::int64_t>> spatial_part(const ir::Attrs& attrs, const char* name, int spatial) {
  const auto all = attrs.get_or<std::vector<std::int64_t>>(name, {});
  if (all.empty()) return std::vector<std::int64_t>(static_cast<std::size_t>(spatial), 1);
  if (static_cast<int>(all.size()) == spatial) return all;
  if (static_cast<int>(all.size()) != spatial + 2 || all.front() != 1 || all.back() != 1) return std::nullopt;
  return std::vector<std::int64_t>(all.begin() + 1, all.end() - 1);
}

bool positive(const std::vector<std::int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](std::int64_t v) { return v > 0; });
}

bool lower_convolution(Editor& editor, ir::Node* node, const Convolution& kind) {
  if (node->inputs.size() != static_cast<std::size_t>(kind.data == 2 ? 3 : 2)) return false;
  if (!all_float(*node, kind.data == 2 ? 1 : 0)) return false;
  const auto format = node->attr_or<std::string>("data_format", "NHWC");
  if (format != "NHWC" && format != "NDHWC") return false;
  ops::ConvAttrs attrs;
  const auto strides = spatial_part(node->attrs, "strides", kind.spatial);
  const auto dilations = spatial_part(node->attrs, "dilations", kind.spatial);
  if (!strides || !dilations || !positive(*strides) || !positive(*dilations)) return false;
  attrs.strides = *strides;
  attrs.dilations = *dilations;
  const auto padding = node->attr<std::string>("padding");
  attrs.padding = padding == "SAME" ? ops::Padding::kSame : padding == "VALID" ? ops::Padding::kValid : ops::Padding::kExplicit;
  if (attrs.padding == ops::Padding::kExplicit) {
    const auto pads = node->attr_or<std::vector<std::int64_t>>("explicit_paddings", {});
    const auto n = static_cast<std::ptrdiff_t>(kind.spatial);
    if (static_cast<std::ptrdiff_t>(pads.size()) != 2 * n + 4 || pads[0] || pads[1] || pads.end()[-1] || pads.end()[-2]) return false;
    attrs.pads.assign(pads.begin() + 2, pads.end() - 2);
    if (std::any_of(attrs.pads.begin(), attrs.pads.end(), [](std::int64_t p) { return p < 0; })) return false;
  }
  ir::Attrs stored;
  attrs.store(stored);
  editor.become(node, kind.fused, node->inputs, std::move(stored));
  return true;
}

bool lower_matmul(Editor& editor, ir::Node* node) {
  if (node->inputs.size() != 2 || !all_float(*node, 0)) return false;
  for (const ir::Value& input : node->inputs) {
    if (!shape_of(input).known_rank() || shape_of(input).rank() < 2) return false;
  }
  ops::MatMulAttrs attrs;
  attrs.transpose_a = node->attr_or<bool>("transpose_a", false) || node->attr_or<bool>("adj_x", false);
  attrs.transpose_b = node->attr_or<bool>("transpose_b", false) || node->attr_or<bool>("adj_y", false);
  ir::Attrs stored;
  attrs.store(stored);
  editor.become(node, "fused_matmul", node->inputs, std::move(stored));
  return true;
}

}  // namespace

bool lower_to_fused(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (node->is("matmul")) lower_matmul(editor, node);
    for (const Convolution& kind : kConvolutions) {
      if (node->is(kind.op)) {
        lower_convolution(editor, node, kind);
        break;
      }
    }
  }
  return editor.finish();
}

}  // namespace tenon::passes
