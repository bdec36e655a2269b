// (x - mean) * rsqrt(variance + epsilon) * gamma + beta -> layer_norm, however the products are arranged.
#include <algorithm>
#include <cmath>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

// The statistics a normalisation is made of.
struct Moments {
  ir::Value x, mean, scale;   // scale: rsqrt(variance + epsilon); for inverse, sqrt(variance + epsilon), that is divided by
  bool inverse = false;
  int axes = 0;
  float epsilon = 0;
  std::vector<ir::Node*> nodes;
};

// How many last dims mean(x, axes, keep_dims) goes over; 0 when it is not such a mean.
int mean_axes(const ir::Node& node) {
  if (!node.is("mean") || node.inputs.size() != 2 || !node.attr_or<bool>("keep_dims", false)) return 0;
  const PartialShape& shape = shape_of(node.inputs[0]);
  auto axes = integers_of(node.inputs[1]);
  if (!axes || axes->empty() || !shape.known_rank()) return 0;
  for (std::int64_t& axis : *axes) axis += axis < 0 ? shape.rank() : 0;
  std::sort(axes->begin(), axes->end());
  const auto count = static_cast<int>(axes->size());
  for (int i = 0; i < count; ++i) {
    if ((*axes)[static_cast<std::size_t>(i)] != shape.rank() - count + i) return 0;
  }
  return count;
}

// variance -> x and mean.
bool match_variance(ir::Value variance, Moments& m) {
  ir::Node* node = variance.node;
  m.axes = mean_axes(*node);
  if (m.axes == 0) return false;
  ir::Node* squared = node->inputs[0].node;
  m.nodes.insert(m.nodes.end(), {node, squared});
  const auto accept = [&](ir::Value x, ir::Value mean) {
    if (mean_axes(*mean.node) != m.axes || mean.node->inputs[0] != x) return false;
    m.x = x;
    m.mean = mean;
    m.nodes.push_back(mean.node);
    return true;
  };
  if (squared->is("squared_difference")) {
    return accept(squared->inputs[0], squared->inputs[1]) || accept(squared->inputs[1], squared->inputs[0]);
  }
  if (squared->is("square") && squared->inputs[0].node->is("sub")) {
    ir::Node* difference = squared->inputs[0].node;
    m.nodes.push_back(difference);
    return accept(difference->inputs[0], difference->inputs[1]);
  }
  return false;
}

// rsqrt(variance + epsilon) or sqrt(variance + epsilon).
std::optional<Moments> match_moments(ir::Node* node) {
  if (!node->is("rsqrt") && !node->is("sqrt")) return std::nullopt;
  Moments m;
  m.inverse = node->is("sqrt");
  m.scale = node->output();
  ir::Node* sum = node->inputs[0].node;
  if (!sum->is("add") || !is_float(node->output())) return std::nullopt;
  const auto operands = either(*sum, [](ir::Value v) { return scalar_of(v).has_value(); });
  if (!operands) return std::nullopt;
  m.epsilon = *scalar_of(operands->first);
  m.nodes = {node, sum};
  if (!(m.epsilon >= 0) || !match_variance(operands->second, m)) return std::nullopt;
  return m;
}

// One product of a sum: number * x^a * mean^b * scale^c * constants.
struct Term {
  double number = 1;
  int x = 0, mean = 0, scale = 0;
  std::vector<ir::Value> constants;
};

// Writes a value as a sum of such products.
class Expansion {
 public:
  explicit Expansion(const Moments& moments) : m_(moments) {}

  std::optional<std::vector<Term>> expand(ir::Value value, int depth = 0) {
    if (value == m_.x) return std::vector<Term>{{1, 1, 0, 0, {}}};
    if (value == m_.mean) return std::vector<Term>{{1, 0, 1, 0, {}}};
    if (value == m_.scale && !m_.inverse) return std::vector<Term>{{1, 0, 0, 1, {}}};
    if (constant_of(value) != nullptr) return std::vector<Term>{{1, 0, 0, 0, {value}}};
    if (depth > 8 || !is_float(value)) return std::nullopt;
    ir::Node* node = value.node;
    nodes_.push_back(node);
    if (node->is("neg")) return scaled(expand(node->inputs[0], depth + 1), -1);
    if (node->is("div") && m_.inverse && node->inputs[1] == m_.scale) {
      auto terms = expand(node->inputs[0], depth + 1);
      if (terms) {
        for (Term& term : *terms) ++term.scale;
      }
      return terms;
    }
    const bool sum = node->is("add") || node->is("sub");
    if (!sum && !node->is("mul")) return std::nullopt;
    auto a = expand(node->inputs[0], depth + 1), b = expand(node->inputs[1], depth + 1);
    if (!a || !b) return std::nullopt;
    if (!sum) return multiplied(*a, *b);
    if (node->is("sub")) b = scaled(std::move(b), -1);
    a->insert(a->end(), b->begin(), b->end());
    return a->size() > 8 ? std::nullopt : std::move(a);
  }
  const std::vector<ir::Node*>& nodes() const { return nodes_; }

 private:
  static std::optional<std::vector<Term>> scaled(std::optional<std::vector<Term>> terms, double number) {
    if (terms) {
      for (Term& term : *terms) term.number *= number;
    }
    return terms;
  }
  static std::optional<std::vector<Term>> multiplied(const std::vector<Term>& a, const std::vector<Term>& b) {
    if (a.size() * b.size() > 8) return std::nullopt;
    std::vector<Term> result;
    for (const Term& p : a) {
      for (const Term& q : b) {
        Term t{p.number * q.number, p.x + q.x, p.mean + q.mean, p.scale + q.scale, p.constants};
        t.constants.insert(t.constants.end(), q.constants.begin(), q.constants.end());
        result.push_back(std::move(t));
      }
    }
    return result;
  }

  const Moments& m_;
  std::vector<ir::Node*> nodes_;
};

struct Affine {
  ir::Value gamma, beta;  // null: one, zero
};

// x * scale * gamma - mean * scale * gamma + beta.
std::optional<Affine> match_terms(const std::vector<Term>& terms) {
  const Term *plus = nullptr, *minus = nullptr, *rest = nullptr;
  for (const Term& term : terms) {
    const Term** slot = term.x == 1 && term.mean == 0 && term.scale == 1 && term.number == 1    ? &plus
                        : term.x == 0 && term.mean == 1 && term.scale == 1 && term.number == -1 ? &minus
                        : term.x == 0 && term.mean == 0 && term.scale == 0 && term.number == 1  ? &rest
                                                                                                : nullptr;
    if (slot == nullptr || *slot != nullptr) return std::nullopt;
    *slot = &term;
  }
  if (plus == nullptr || minus == nullptr || plus->constants != minus->constants || plus->constants.size() > 1) return std::nullopt;
  if (rest != nullptr && rest->constants.size() != 1) return std::nullopt;
  Affine affine;
  if (!plus->constants.empty()) affine.gamma = plus->constants[0];
  if (rest != nullptr) affine.beta = rest->constants[0];
  return affine;
}

// gamma or beta in the shape of the normalised dims; nothing when it varies over others.
std::optional<Tensor> parameter(ir::Value value, float fallback, const PartialShape& shape, int axes) {
  Shape inner;
  for (int d = shape.rank() - axes; d < shape.rank(); ++d) {
    if (!shape[d].known()) return std::nullopt;
    inner.push_back(shape[d].size());
  }
  if (value && constant_of(value)->dtype() != DataType::kFloat32) return std::nullopt;
  if (!value || constant_of(value)->num_elements() == 1) {
    Tensor result(DataType::kFloat32, inner);
    std::ranges::fill(result.flat<float>(), value ? constant_of(value)->flat<float>()[0] : fallback);
    return result;
  }
  const Tensor& tensor = *constant_of(value);
  if (tensor.rank() > shape.rank() || tensor.num_elements() != inner.num_elements()) {
    return std::nullopt;
  }
  for (int d = 0; d < std::min(axes, tensor.rank()); ++d) {
    if (tensor.dim(tensor.rank() - 1 - d) != inner[axes - 1 - d]) return std::nullopt;
  }
  return tensor.reshaped(inner);
}

bool make(Editor& editor, ir::Node* node, const Moments& m, const Affine& affine, std::vector<ir::Node*> absorbed) {
  const PartialShape& shape = shape_of(m.x);
  if (!is_float(m.x) || !same_shape(shape, node->outputs[0].shape)) return false;
  const auto gamma = parameter(affine.gamma, 1.0f, shape, m.axes), beta = parameter(affine.beta, 0.0f, shape, m.axes);
  if (!gamma || !beta) return false;
  ir::Attrs attrs;
  ops::LayerNormAttrs{m.axes, m.epsilon, false}.store(attrs);
  const ir::Value g = editor.constant(*gamma, node->name + "/gamma"), b = editor.constant(*beta, node->name + "/beta");
  std::sort(absorbed.begin(), absorbed.end(), [](const ir::Node* a, const ir::Node* c) { return a->id < c->id; });
  absorbed.erase(std::unique(absorbed.begin(), absorbed.end()), absorbed.end());
  editor.become(node, "layer_norm", {m.x, g, b}, std::move(attrs), absorbed);
  return true;
}

constexpr std::size_t kMaxEnds = 32;

// Nodes that may end the normalisation: what multiplications and additions make of `scale`, the farthest first.
std::vector<ir::Node*> possible_ends(const Editor& editor, ir::Value scale) {
  std::vector<ir::Node*> ends;
  std::vector<ir::Value> front{scale};
  for (int depth = 0; depth < 6 && !front.empty() && ends.size() < kMaxEnds; ++depth) {
    std::vector<ir::Value> next;
    for (const ir::Value& value : front) {
      for (const Editor::Use& use : editor.uses(value)) {
        ir::Node* node = use.consumer;
        if (node == nullptr || !(node->is("mul") || node->is("add") || node->is("sub") || node->is("div"))) continue;
        if (ends.size() == kMaxEnds) break;
        std::erase(ends, node);
        ends.push_back(node);
        next.push_back(node->output());
      }
    }
    front = std::move(next);
  }
  std::reverse(ends.begin(), ends.end());
  return ends;
}

bool fuse_from(Editor& editor, ir::Node* start) {
  const auto moments = match_moments(start);
  if (!moments) return false;
  for (ir::Node* end : possible_ends(editor, moments->scale)) {
    Expansion expansion(*moments);
    const auto terms = expansion.expand(end->output());
    if (!terms) continue;
    const auto affine = match_terms(*terms);
    if (!affine) continue;
    std::vector<ir::Node*> absorbed = moments->nodes;
    absorbed.insert(absorbed.end(), expansion.nodes().begin(), expansion.nodes().end());
    if (make(editor, end, *moments, *affine, std::move(absorbed))) return true;
  }
  return false;
}

bool all_equal(ir::Value value, float wanted) {
  const Tensor* tensor = constant_of(value);
  if (tensor != nullptr && tensor->dtype() == DataType::kFloat32) {
    return std::ranges::all_of(tensor->flat<float>(), [&](float v) { return v == wanted; });
  }
  return value.node->is("fill") && is_scalar(value.node->inputs[1], wanted) && scalar_of(value.node->inputs[1]) == wanted;
}

// Keras 2: rows become the channels of a batch norm in training, [1, rows, size, 1] in NCHW; then * gamma + beta.
bool fuse_batch_norm_trick(Editor& editor, ir::Node* norm) {
  if (!norm->is("fused_batch_norm") || !norm->attr_or<bool>("is_training", true) || norm->inputs.size() < 3) return false;
  if (norm->attr_or<std::string>("data_format", "NHWC") != "NCHW") return false;
  ir::Node* before = norm->inputs[0].node;
  ir::Node* after = editor.sole_user(norm->output());
  if (!before->is("reshape") || after == nullptr || !after->is("reshape")) return false;
  Moments m;
  m.x = before->inputs[0];
  m.axes = 1;
  m.epsilon = norm->attr_or<float>("epsilon", 1e-4f);
  const PartialShape& inner = before->outputs[0].shape;
  if (last_dim(m.x) < 1 || !inner.known_rank() || inner.rank() != 4) return false;
  if (inner[0] != Dim(1) || inner[2] != Dim(last_dim(m.x)) || inner[3] != Dim(1)) return false;
  if (!same_shape(shape_of(m.x), after->outputs[0].shape)) return false;
  const float gain = all_equal(norm->inputs[1], 1.0f) ? 1.0f : 0.0f;
  if (gain != 1.0f || !all_equal(norm->inputs[2], 0.0f)) return false;
  std::vector<ir::Node*> absorbed{before, norm, after};
  Affine affine;
  ir::Node* end = after;
  ir::Node* product = editor.sole_user(end->output());
  if (product != nullptr && product->is("mul") && constant_of(product->inputs[1]) != nullptr) {
    affine.gamma = product->inputs[1];
    absorbed.push_back(end = product);
    ir::Node* sum = editor.sole_user(end->output());
    if (sum != nullptr && sum->is("add") && constant_of(sum->inputs[1]) != nullptr) {
      affine.beta = sum->inputs[1];
      absorbed.push_back(end = sum);
    }
  }
  return make(editor, end, m, affine, std::move(absorbed));
}

}  // namespace

bool fuse_layer_norm(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!editor.released(node) && !fuse_batch_norm_trick(editor, node)) fuse_from(editor, node);
  }
  return editor.finish();
}

bool fuse_layer_norm_residual(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (editor.released(node) || !node->is("layer_norm")) continue;
    auto attrs = ops::LayerNormAttrs::parse(node->attrs);
    ir::Node* sum = node->inputs[0].node;
    if (attrs.has_residual || !sum->is("add") || editor.sole_user(sum->output()) != node || !editor.absorbable(sum)) continue;
    const ir::Value a = sum->inputs[0], b = sum->inputs[1];
    if (!is_float(a) || !same_shape(shape_of(a), shape_of(b))) continue;
    attrs.has_residual = true;
    ir::Attrs stored;
    attrs.store(stored);
    ir::Node* absorbed[] = {sum};
    editor.become(node, "layer_norm", {a, node->inputs[1], node->inputs[2], b}, std::move(stored), absorbed);
  }
  return editor.finish();
}

}  // namespace tenon::passes
