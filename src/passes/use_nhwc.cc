// NCHW ops -> NHWC between transposes, which then move towards the outputs until they cancel.
#include <algorithm>
#include <numeric>

#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

using Perm = std::vector<std::int64_t>;

// Channels from place 1 to the end, and back.
Perm channels_to_end(int rank) {
  Perm perm(static_cast<std::size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  std::rotate(perm.begin() + 1, perm.begin() + 2, perm.end());
  return perm;
}

Perm inverse(const Perm& perm) {
  Perm result(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) result[static_cast<std::size_t>(perm[i])] = static_cast<std::int64_t>(i);
  return result;
}

PartialShape permuted(const PartialShape& shape, const Perm& perm) {
  std::vector<Dim> dims;
  for (const std::int64_t axis : perm) dims.push_back(shape[static_cast<int>(axis)]);
  return PartialShape(std::move(dims));
}

bool has_rank(ir::Value value, std::size_t rank) { return shape_of(value).known_rank() && shape_of(value).rank() == static_cast<int>(rank); }

ir::Value transposed(Editor& editor, ir::Value value, const Perm& perm, const std::string& name) {
  const ir::Value order = editor.constant(int_vector(perm), name + "/perm");
  return editor.add("transpose", name, {value, order}, {}, {type_of(value).dtype, permuted(shape_of(value), perm)})->output();
}

// The permutation of a transpose node; empty for other nodes.
Perm perm_of(const ir::Node& node) {
  if (!node.is("transpose") || node.inputs.size() != 2) return {};
  return integers_of(node.inputs[1]).value_or(Perm{});
}

// The node's result now has the order of dims before `perm`; its users read its transpose.
void transpose_result(Editor& editor, ir::Node* node, const Perm& perm) {
  const ir::ValueType before = node->outputs[0];
  node->outputs[0].shape = permuted(before.shape, inverse(perm));
  const ir::Value order = editor.constant(int_vector(perm), node->name + "/perm");
  ir::Node* transpose = editor.add("transpose", node->name + "/nchw", {node->output(), order}, {}, before);
  editor.replace(node->output(), transpose->output(), transpose);
}

// An attribute with a number for each dim, or for each dim's two sides, brought to NHWC order.
void permute_attribute(ir::Attrs& attrs, const char* name, const Perm& perm, std::size_t per_dim) {
  const auto values = attrs.get_or<std::vector<std::int64_t>>(name, {});
  if (values.size() != perm.size() * per_dim) return;
  std::vector<std::int64_t> result;
  for (const std::int64_t axis : perm) {
    for (std::size_t k = 0; k < per_dim; ++k) result.push_back(values[static_cast<std::size_t>(axis) * per_dim + k]);
  }
  attrs.set(name, std::move(result));
}

struct Channelled {
  std::string_view op;
  std::size_t data;  // the operand in NCHW
  int rank;          // 0: that of the operand
};

constexpr Channelled kChannelled[] = {
    {"conv2d", 0, 4},       {"depthwise_conv2d", 0, 4}, {"conv3d", 0, 5},           {"conv2d_backprop_input", 2, 4},
    {"max_pool", 0, 4},     {"avg_pool", 0, 4},         {"max_pool_3d", 0, 5},      {"avg_pool_3d", 0, 5},
    {"bias_add", 0, 0},     {"fused_batch_norm", 0, 0}, {"depth_to_space", 0, 4},   {"space_to_depth", 0, 4},
};

const Channelled* find_channelled(const ir::Node& node) {
  const auto* it = std::find_if(std::begin(kChannelled), std::end(kChannelled), [&](const Channelled& c) { return node.is(c.op); });
  return it == std::end(kChannelled) ? nullptr : it;
}

// input_sizes of a transposed convolution: a constant, or a gather of what it was.
void permute_sizes(Editor& editor, ir::Node* node, const Perm& perm) {
  std::vector<std::int32_t> order(perm.begin(), perm.end());
  const ir::Value which = editor.constant(Tensor::vector<std::int32_t>(order), node->name + "/order");
  const ir::Value zero = editor.constant(Tensor::scalar<std::int32_t>(0), node->name + "/axis");
  const ir::ValueType type = type_of(node->inputs[0]);
  editor.set_input(node, 0, editor.add("gather", node->name + "/sizes", {node->inputs[0], which, zero}, {}, type)->output());
}

bool to_nhwc(Editor& editor, ir::Node* node) {
  const Channelled* kind = find_channelled(*node);
  const auto format = node->attr_or<std::string>("data_format", "NHWC");
  if (kind == nullptr || (format != "NCHW" && format != "NCDHW") || node->inputs.size() <= kind->data) return false;
  const ir::Value data = node->inputs[kind->data];
  if (!is_float(data) || !shape_of(data).known_rank() || !editor.absorbable(node) || !node->outputs[0].shape.known_rank()) return false;
  const int rank = shape_of(data).rank();
  if (rank < 3 || rank > 5 || (kind->rank != 0 && kind->rank != rank) || node->outputs[0].shape.rank() != rank) return false;
  if ((node->is("max_pool") && node->inputs.size() != 1) || (node->is("conv2d_backprop_input") && !has_rank(node->inputs[0], 1))) return false;
  if (node->is("conv2d_backprop_input") && shape_of(node->inputs[0])[0] != Dim(4)) return false;
  if (node->is("fused_batch_norm") && node->attr_or<bool>("is_training", true)) return false;
  const Perm to_end = channels_to_end(rank);
  editor.set_input(node, kind->data, transposed(editor, data, to_end, node->name + "/nhwc"));
  if (node->is("conv2d_backprop_input")) permute_sizes(editor, node, to_end);
  for (const char* name : {"strides", "dilations", "ksize"}) permute_attribute(node->attrs, name, to_end, 1);
  permute_attribute(node->attrs, "explicit_paddings", to_end, 2);
  node->attrs.set("data_format", std::string(rank == 5 ? "NDHWC" : "NHWC"));
  transpose_result(editor, node, inverse(to_end));
  return true;
}

// A constant operand in the order of dims that the others have before the transpose.
std::optional<ir::Value> constant_before(Editor& editor, ir::Value value, const Perm& perm, const std::string& name) {
  const Tensor* tensor = constant_of(value);
  if (tensor == nullptr) return std::nullopt;
  if (tensor->num_elements() == 1 && tensor->rank() <= static_cast<int>(perm.size())) return value;
  if (tensor->rank() > static_cast<int>(perm.size())) return std::nullopt;
  Shape full;
  for (std::size_t i = 0; i < perm.size() - static_cast<std::size_t>(tensor->rank()); ++i) full.push_back(1);
  for (const std::int64_t dim : tensor->shape()) full.push_back(dim);
  const ir::Value reshaped = editor.constant(tensor->reshaped(full), name + "/constant");
  return transposed(editor, reshaped, inverse(perm), name + "/constant");
}

constexpr std::string_view kUnary[] = {"relu",    "relu6",  "leaky_relu", "elu",    "selu",  "sigmoid", "tanh",  "softplus", "softsign",
                                       "exp",     "log",    "neg",        "abs",    "square", "sqrt",   "rsqrt", "floor",    "ceil",
                                       "erf",     "erfc",   "swish",      "gelu",   "clip",  "hard_swish", "hard_sigmoid", "clip_by_value"};
constexpr std::string_view kBinary[] = {"add", "sub", "mul", "div", "maximum", "minimum", "squared_difference", "pow"};

template <std::size_t N>
bool is_one_of(const ir::Node& node, const std::string_view (&ops)[N]) {
  return std::any_of(std::begin(ops), std::end(ops), [&](std::string_view op) { return node.is(op); });
}

// f(transpose(x)) -> transpose(f(x)), for operands that are all transposed alike or constant.
bool sink_elementwise(Editor& editor, ir::Node* node) {
  const bool unary = is_one_of(*node, kUnary);
  if (!unary && !is_one_of(*node, kBinary)) return false;
  Perm perm;
  for (const ir::Value& input : node->inputs) {
    if (constant_of(input) != nullptr) continue;
    const Perm own = perm_of(*input.node);
    if (own.empty() || (!perm.empty() && own != perm)) return false;
    perm = own;
  }
  if (perm.empty() || !has_rank(node->output(), perm.size())) return false;
  std::vector<ir::Value> inputs;
  for (const ir::Value& input : node->inputs) {
    if (constant_of(input) == nullptr) {
      if (!has_rank(input, perm.size())) return false;
      inputs.push_back(input.node->inputs[0]);
    } else if (unary) {
      inputs.push_back(input);  // bounds of clip_by_value
    } else if (const auto constant = constant_before(editor, input, perm, node->name)) {
      inputs.push_back(*constant);
    } else {
      return false;
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) editor.set_input(node, i, inputs[i]);
  transpose_result(editor, node, perm);
  return true;
}

bool sink_concat(Editor& editor, ir::Node* node) {
  if (!node->is("concat") || node->inputs.size() < 2) return false;
  const auto axis = integers_of(node->inputs.back());
  const Perm perm = perm_of(*node->inputs[0].node);
  if (!axis || axis->size() != 1 || perm.empty() || !has_rank(node->output(), perm.size())) return false;
  const auto rank = static_cast<std::int64_t>(perm.size());
  const std::int64_t at = (*axis)[0] < 0 ? (*axis)[0] + rank : (*axis)[0];
  if (at < 0 || at >= rank) return false;
  for (std::size_t i = 0; i + 1 < node->inputs.size(); ++i) {
    if (perm_of(*node->inputs[i].node) != perm) return false;
  }
  for (std::size_t i = 0; i + 1 < node->inputs.size(); ++i) editor.set_input(node, i, node->inputs[i].node->inputs[0]);
  const auto moved = static_cast<std::int32_t>(perm[static_cast<std::size_t>(at)]);
  editor.set_input(node, node->inputs.size() - 1, editor.constant(Tensor::scalar<std::int32_t>(moved), node->name + "/axis"));
  transpose_result(editor, node, perm);
  return true;
}

// mean(transpose(x), axes): other axes; a transpose of what is left only where its order changed.
bool sink_reduction(Editor& editor, ir::Node* node) {
  if (!(node->is("mean") || node->is("sum") || node->is("max") || node->is("min") || node->is("prod")) || node->inputs.size() != 2) return false;
  const Perm perm = perm_of(*node->inputs[0].node);
  auto axes = integers_of(node->inputs[1]);
  if (perm.empty() || !axes || !node->outputs[0].shape.known_rank()) return false;
  const auto rank = static_cast<std::int64_t>(perm.size());
  std::vector<std::int64_t> moved;
  for (std::int64_t& axis : *axes) {
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank) return false;
    moved.push_back(perm[static_cast<std::size_t>(axis)]);
  }
  const bool keep = node->attr_or<bool>("keep_dims", false);
  Perm left;  // axes of x that remain, in the order the result has them
  for (std::int64_t i = 0; i < rank; ++i) {
    if (keep || std::find(axes->begin(), axes->end(), i) == axes->end()) left.push_back(perm[static_cast<std::size_t>(i)]);
  }
  if (!keep && !std::is_sorted(left.begin(), left.end())) return false;
  editor.set_input(node, 0, node->inputs[0].node->inputs[0]);
  editor.set_input(node, 1, editor.constant(int_vector(moved), node->name + "/axes"));
  if (keep) transpose_result(editor, node, perm);
  return true;
}

bool sink_pad(Editor& editor, ir::Node* node) {
  if (!node->is("pad") || node->inputs.size() < 2) return false;
  const Perm perm = perm_of(*node->inputs[0].node);
  const Tensor* paddings = constant_of(node->inputs[1]);
  if (perm.empty() || paddings == nullptr || paddings->num_elements() != static_cast<std::int64_t>(2 * perm.size())) return false;
  if (!has_rank(node->output(), perm.size())) return false;
  Tensor moved(DataType::kInt64, Shape{static_cast<std::int64_t>(perm.size()), 2});
  const Tensor flat = paddings->reshaped(Shape{paddings->num_elements()});
  for (std::size_t i = 0; i < perm.size(); ++i) {
    for (std::size_t side = 0; side < 2; ++side) {
      const std::size_t from = 2 * i + side, to = 2 * static_cast<std::size_t>(perm[i]) + side;
      moved.flat<std::int64_t>()[to] = flat.dtype() == DataType::kInt32 ? flat.flat<std::int32_t>()[from] : flat.flat<std::int64_t>()[from];
    }
  }
  editor.set_input(node, 0, node->inputs[0].node->inputs[0]);
  editor.set_input(node, 1, editor.constant(std::move(moved), node->name + "/paddings"));
  transpose_result(editor, node, perm);
  return true;
}

// transpose(transpose(x)) -> x when the two undo each other.
bool cancel(Editor& editor, ir::Node* node) {
  const Perm outer = perm_of(*node);
  if (outer.empty() || perm_of(*node->inputs[0].node) != inverse(outer)) return false;
  editor.replace(node->output(), node->inputs[0].node->inputs[0]);
  return true;
}

}  // namespace

bool use_nhwc(ir::Graph& graph) {
  bool changed = false;
  {
    Editor editor(graph);
    for (ir::Node* node : editor.order()) to_nhwc(editor, node);
    changed = editor.finish();
  }
  if (!changed) return false;
  for (bool moved = true; moved;) {  // each round moves transposes by whole chains; there are fewer of them after every move
    moved = false;
    Editor editor(graph);
    for (ir::Node* node : editor.order()) {
      if (editor.released(node) || node->outputs.size() != 1 || !editor.absorbable(node)) continue;
      moved |= cancel(editor, node) || sink_elementwise(editor, node) || sink_concat(editor, node) || sink_reduction(editor, node) ||
               sink_pad(editor, node);
    }
    editor.finish();
  }
  return true;
}

}  // namespace tenon::passes
