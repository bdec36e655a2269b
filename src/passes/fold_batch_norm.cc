// Multiplications and additions of constants by channel go into the convolution or matmul before them, or become channel_affine.
#include <algorithm>
#include <cmath>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

using Channels = std::vector<double>;

// y = x * scale + shift by channel, over the last dim.
struct Affine {
  Channels scale, shift;
  bool varies = false;  // a constant other than a scalar took part
  std::vector<ir::Node*> nodes;

  bool scales() const {
    return std::any_of(scale.begin(), scale.end(), [](double s) { return s != 1; });
  }
  bool shifts() const {
    return std::any_of(shift.begin(), shift.end(), [](double s) { return s != 0; });
  }
};

bool has_channels(ir::Value value) { return last_dim(value) >= 1 && last_dim(value) <= kMostChannels; }

bool is_scalar_constant(ir::Value value) { return constant_of(value) != nullptr && constant_of(value)->num_elements() == 1; }

bool channels_last(const ir::Node& node) {
  const auto format = node.attr_or<std::string>("data_format", "NHWC");
  return !format.starts_with("NC");
}

// One step: node computes from `x` an affine function. False when it does not, or not by the last dim.
bool apply_arithmetic(const ir::Node& node, ir::Value x, int rank, Affine& affine) {
  if (node.inputs.size() != 2) return false;
  const bool left = node.inputs[0] == x;
  const ir::Value other = node.inputs[left ? 1 : 0];
  const bool biased = node.is("bias_add");
  if (biased && (!left || !channels_last(node))) return false;
  const auto values = channels_of(other, rank, static_cast<std::int64_t>(affine.scale.size()));
  if (!values) return false;
  for (std::size_t c = 0; c < values->size(); ++c) {
    const double v = (*values)[c];
    if (biased || node.is("add")) {
      affine.shift[c] += v;
    } else if (node.is("sub")) {
      affine.scale[c] = left ? affine.scale[c] : -affine.scale[c];
      affine.shift[c] = left ? affine.shift[c] - v : v - affine.shift[c];
    } else if (node.is("mul") || (node.is("div") && left && v != 0)) {
      const double factor = node.is("mul") ? v : 1 / v;
      affine.scale[c] *= factor;
      affine.shift[c] *= factor;
    } else {
      return false;
    }
  }
  affine.varies |= !is_scalar_constant(other);
  return true;
}

// Batch norm in inference: operands x, gamma, beta, mean, variance.
bool apply_batch_norm(const ir::Node& node, ir::Value x, Affine& affine) {
  if (node.inputs.size() != 5 || node.inputs[0] != x || node.attr_or<bool>("is_training", true) || !channels_last(node)) return false;
  std::vector<float> parts[4];
  for (int i = 0; i < 4; ++i) {
    auto values = channels_of(node.inputs[static_cast<std::size_t>(i + 1)], 1, static_cast<std::int64_t>(affine.scale.size()));
    if (!values) return false;
    parts[i] = std::move(*values);
  }
  const double epsilon = node.attr_or<float>("epsilon", 1e-4f);
  for (std::size_t c = 0; c < affine.scale.size(); ++c) {
    const double factor = parts[0][c] / std::sqrt(parts[3][c] + epsilon);
    affine.scale[c] *= factor;
    affine.shift[c] = (affine.shift[c] - parts[2][c]) * factor + parts[1][c];
  }
  affine.varies = true;
  return true;
}

bool is_arithmetic(const ir::Node& node) {
  return node.is("add") || node.is("sub") || node.is("mul") || node.is("div") || node.is("bias_add");
}

bool apply(const ir::Node& node, ir::Value x, Affine& affine) {
  if (!is_float(x) || node.outputs.empty() || node.outputs[0].dtype != DataType::kFloat32) return false;
  if (node.is("fused_batch_norm")) return apply_batch_norm(node, x, affine);
  return is_arithmetic(node) && apply_arithmetic(node, x, shape_of(x).rank(), affine);
}

// True when users see nothing of the node but output 0.
bool only_first_output(const Editor& editor, ir::Node* node) {
  for (int i = 1; i < static_cast<int>(node->outputs.size()); ++i) {
    if (!editor.uses(node->output(i)).empty()) return false;
  }
  return true;
}

// Follows sole users from `value` as long as they are affine and `accept` agrees with what has come together.
template <class Accept>
Affine follow(const Editor& editor, ir::Value value, Accept&& accept) {
  Affine affine;
  if (!has_channels(value)) return affine;
  const auto channels = static_cast<std::size_t>(last_dim(value));
  affine.scale.assign(channels, 1);
  affine.shift.assign(channels, 0);
  constexpr std::size_t kMaxSteps = 64;
  for (;;) {
    ir::Node* node = editor.sole_user(value);
    if (node == nullptr || !node->control_inputs.empty() || affine.nodes.size() == kMaxSteps) return affine;
    Affine next = affine;
    if (!apply(*node, value, next) || !only_first_output(editor, node) || !accept(next)) return affine;
    affine = std::move(next);
    affine.nodes.push_back(node);
    value = node->output();
  }
}

bool finite(const Channels& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(static_cast<float>(v)); });
}

// Multiplies a filter along its output channels. before: elements per step of the channel, i.e. index / inner % channels.
Tensor scaled_filter(const Tensor& filter, const Channels& scale, std::int64_t inner) {
  Tensor result(DataType::kFloat32, filter.shape());
  const auto from = filter.flat<float>();
  auto to = result.flat<float>();
  const auto channels = static_cast<std::int64_t>(scale.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    to[i] = static_cast<float>(from[i] * scale[static_cast<std::size_t>(static_cast<std::int64_t>(i) / inner % channels)]);
  }
  return result;
}

// How far apart output channels lie in a fused op's filter; 0 when the filter cannot be scaled by them.
std::int64_t channel_stride(const ir::Node& node) {
  const Tensor* filter = constant_of(node.inputs[1]);
  if (filter == nullptr) return 0;
  if (node.is("fused_conv2d_transpose")) return filter->dim(3);
  if (!node.is("fused_matmul")) return 1;  // the last dim; of a depthwise filter the last two
  if (filter->rank() != 2) return 0;
  return ops::MatMulAttrs::parse(node.attrs).transpose_b ? filter->dim(1) : 1;
}

bool has_epilogue_op(const ir::Node& node) {
  return node.is("fused_conv2d") || node.is("fused_depthwise_conv2d") || node.is("fused_conv3d") ||
         node.is("fused_conv2d_transpose") || node.is("fused_matmul");
}

bool fold_into(Editor& editor, ir::Node* node) {
  auto epilogue = ops::Epilogue::parse(node->attrs);
  if (epilogue.activation != ops::Activation::kNone || epilogue.residual != ops::Residual::kNone || !editor.absorbable(node)) return false;
  const std::size_t fixed = node->is("fused_conv2d_transpose") ? 3 : 2;
  const Tensor* old_bias = epilogue.has_bias ? constant_of(node->inputs[fixed]) : nullptr;
  if (epilogue.has_bias && old_bias == nullptr) return false;
  const std::int64_t stride = channel_stride(*node);
  const Affine affine = follow(editor, node->output(), [&](const Affine& next) { return stride > 0 || !next.scales(); });
  if (affine.nodes.empty() || !finite(affine.scale) || !finite(affine.shift)) return false;
  std::vector<float> bias(affine.shift.begin(), affine.shift.end());
  if (old_bias != nullptr) {
    for (std::size_t c = 0; c < bias.size(); ++c) bias[c] = static_cast<float>(old_bias->flat<float>()[c] * affine.scale[c] + affine.shift[c]);
  }
  ir::Node* last = affine.nodes.back();
  std::vector<ir::Value> inputs(node->inputs.begin(), node->inputs.begin() + static_cast<std::ptrdiff_t>(fixed));
  if (affine.scales()) {
    inputs[1] = editor.constant(scaled_filter(*constant_of(inputs[1]), affine.scale, stride), last->name + "/weights");
  }
  ir::Attrs attrs = node->attrs;
  if (epilogue.has_bias || affine.shifts()) {
    epilogue.has_bias = true;
    inputs.push_back(editor.constant(float_vector(bias), last->name + "/bias"));
  }
  epilogue.store(attrs);
  std::vector<ir::Node*> absorbed{node};
  absorbed.insert(absorbed.end(), affine.nodes.begin(), affine.nodes.end());
  last->outputs.resize(1);
  editor.become(last, node->op->name, std::move(inputs), std::move(attrs), absorbed);
  return true;
}

// A chain that no convolution takes. `first` is its first node, x what it starts from. The nodes of a chain that is not worth it
// go to `seen`.
bool make_affine(Editor& editor, ir::Node* first, std::unordered_set<const ir::Node*>& seen) {
  if (!is_arithmetic(*first) && !first->is("fused_batch_norm")) return false;
  ir::Value x;
  for (const ir::Value& input : first->inputs) {
    if (constant_of(input) == nullptr) x = input;
  }
  if (!x || !shape_of(x).known_rank() || !has_channels(x) || !first->control_inputs.empty()) return false;
  const auto channels = static_cast<std::size_t>(last_dim(x));
  Affine start{Channels(channels, 1), Channels(channels, 0), false, {}};
  if (!apply(*first, x, start) || !only_first_output(editor, first)) return false;
  Affine affine = start;
  affine.nodes = {first};
  const Affine rest = follow(editor, first->output(), [](const Affine&) { return true; });
  for (std::size_t c = 0; c < rest.scale.size() && !rest.nodes.empty(); ++c) {
    affine.scale[c] *= rest.scale[c];
    affine.shift[c] = affine.shift[c] * rest.scale[c] + rest.shift[c];
  }
  affine.nodes.insert(affine.nodes.end(), rest.nodes.begin(), rest.nodes.end());
  affine.varies |= rest.varies;
  seen.insert(affine.nodes.begin(), affine.nodes.end());
  if (!affine.varies || (affine.nodes.size() < 2 && !first->is("fused_batch_norm"))) return false;
  if (!finite(affine.scale) || !finite(affine.shift)) return false;
  ir::Node* last = affine.nodes.back();
  const ir::Value scale = editor.constant(float_vector(std::vector<float>(affine.scale.begin(), affine.scale.end())), last->name + "/scale");
  const ir::Value shift = editor.constant(float_vector(std::vector<float>(affine.shift.begin(), affine.shift.end())), last->name + "/shift");
  last->outputs.resize(1);
  editor.become(last, "channel_affine", {x, scale, shift}, {}, affine.nodes);
  return true;
}

}  // namespace

bool fold_batch_norm(ir::Graph& graph) {
  Editor editor(graph);
  const std::vector<ir::Node*> order = editor.order();
  for (ir::Node* node : order) {
    if (!editor.released(node) && has_epilogue_op(*node)) fold_into(editor, node);
  }
  std::unordered_set<const ir::Node*> seen;
  for (ir::Node* node : order) {
    if (!editor.released(node) && !node->is("channel_affine") && !seen.contains(node)) make_affine(editor, node, seen);
  }
  return editor.finish();
}

}  // namespace tenon::passes
