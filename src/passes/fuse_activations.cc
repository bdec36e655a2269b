// Activations written as several ops -> one op: swish, hard_swish, hard_sigmoid, gelu (erf, erfc, tanh), clip, leaky_relu.
#include <cmath>

#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

constexpr int kMaxDepth = 6;
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;

bool near(double a, double b) { return std::fabs(a - b) <= 2e-6 * std::fabs(b); }

// A product taken apart: a number times values.
struct Product {
  double number = 1;
  std::vector<ir::Value> factors;
  std::vector<ir::Node*> nodes;
};

// Takes apart multiplications, divisions by numbers, negations and squares, down to `stop` and to other ops.
bool collect(const Editor& editor, ir::Value value, ir::Value stop, int depth, Product& product) {
  if (value == stop) {
    product.factors.push_back(value);
    return true;
  }
  if (const auto number = scalar_of(value)) {
    product.number *= *number;
    return true;
  }
  ir::Node* node = value.node;
  if (depth < kMaxDepth && is_float(value) && (node->is("mul") || node->is("neg") || node->is("square") || node->is("div"))) {
    product.nodes.push_back(node);
    if (node->is("div")) {
      const auto divisor = scalar_of(node->inputs[1]);
      if (!divisor || *divisor == 0) return false;
      product.number /= *divisor;
      return collect(editor, node->inputs[0], stop, depth + 1, product);
    }
    if (node->is("neg")) product.number = -product.number;
    if (node->is("square") && !collect(editor, node->inputs[0], stop, depth + 1, product)) return false;
    for (const ir::Value& input : node->inputs) {
      if (!collect(editor, input, stop, depth + 1, product)) return false;
    }
    return true;
  }
  if (node->is("pow") && stop && node->inputs[0] == stop && is_scalar(node->inputs[1], 3.0f)) {
    product.nodes.push_back(node);
    for (int i = 0; i < 3; ++i) product.factors.push_back(stop);
    return true;
  }
  product.factors.push_back(value);
  return true;
}

std::optional<Product> product_of(const Editor& editor, ir::Value value, ir::Value stop) {
  Product product;
  if (!collect(editor, value, stop, 0, product)) return std::nullopt;
  return product;
}

// value = number * x^power.
bool is_power(const Editor& editor, ir::Value value, ir::Value x, double number, std::size_t power) {
  const auto product = product_of(editor, value, x);
  if (!product || product->factors.size() != power || !near(product->number, number)) return false;
  for (const ir::Value& factor : product->factors) {
    if (factor != x) return false;
  }
  return true;
}

// add(value, number) in either order -> value.
std::optional<ir::Value> plus(ir::Value sum, float number) {
  if (!sum.node->is("add")) return std::nullopt;
  const auto found = either(*sum.node, [&](ir::Value v) { return is_scalar(v, number); });
  return found ? std::optional(found->second) : std::nullopt;
}

// The x of number * x, for u = number * x.
std::optional<ir::Value> unscaled(ir::Value u, double number) {
  ir::Value x = u;
  double seen = 1;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    ir::Node* node = x.node;
    if (node->is("neg")) {
      seen = -seen;
      x = node->inputs[0];
    } else if (node->is("div") && scalar_of(node->inputs[1])) {
      seen /= *scalar_of(node->inputs[1]);
      x = node->inputs[0];
    } else if (node->is("mul") && scalar_of(node->inputs[1])) {
      seen *= *scalar_of(node->inputs[1]);
      x = node->inputs[0];
    } else {
      break;
    }
    if (near(seen, number)) return x;
  }
  return std::nullopt;
}

// x of sqrt(2/pi) * (x + 0.044715 x^3), the argument of gelu's tanh.
std::optional<ir::Value> tanh_argument(const Editor& editor, ir::Value u) {
  const auto sum_times = [&](ir::Value sum) -> std::optional<ir::Value> {
    if (!sum.node->is("add") || sum.node->inputs.size() != 2) return std::nullopt;
    for (int i = 0; i < 2; ++i) {
      const ir::Value x = sum.node->inputs[static_cast<std::size_t>(i)], cube = sum.node->inputs[static_cast<std::size_t>(1 - i)];
      if (is_power(editor, cube, x, 0.044715, 3)) return x;
    }
    return std::nullopt;
  };
  if (const auto sum = unscaled(u, kSqrtTwoOverPi)) {
    if (const auto x = sum_times(*sum)) return x;
  }
  // sqrt(2/pi) * x * (1 + 0.044715 x^2)
  const auto product = product_of(editor, u, {});
  if (!product || product->factors.size() != 2 || !near(product->number, kSqrtTwoOverPi)) return std::nullopt;
  for (int i = 0; i < 2; ++i) {
    const ir::Value x = product->factors[static_cast<std::size_t>(i)], other = product->factors[static_cast<std::size_t>(1 - i)];
    const auto square = plus(other, 1.0f);
    if (square && is_power(editor, *square, x, 0.044715, 2)) return x;
  }
  return std::nullopt;
}

struct Match {
  const char* op;
  ir::Attrs attrs;
  ir::Value x;
  double number;  // the whole is number * x * special
};

ir::Attrs gelu_attrs(bool approximate) {
  ir::Attrs attrs;
  attrs.set("approximate", approximate);
  return attrs;
}

// What a factor stands for when it belongs to an activation of x.
std::optional<Match> special(const Editor& editor, ir::Value factor) {
  const ir::Node* node = factor.node;
  if (node->is("sigmoid")) return Match{"swish", {}, node->inputs[0], 1};
  if (node->is("hard_sigmoid")) {
    if (!near(node->attr_or<float>("alpha", 1.0f / 6), 1.0 / 6) || node->attr_or<float>("beta", 0.5f) != 0.5f) return std::nullopt;
    return Match{"hard_swish", {}, node->inputs[0], 1};
  }
  if (node->is("relu6")) {
    if (const auto x = plus(node->inputs[0], 3.0f)) return Match{"hard_swish", {}, *x, 1.0 / 6};
    return std::nullopt;
  }
  if (node->is("erfc")) {
    if (const auto x = unscaled(node->inputs[0], -kSqrtHalf)) return Match{"gelu", gelu_attrs(false), *x, 0.5};
    return std::nullopt;
  }
  if (!node->is("add")) return std::nullopt;
  const auto one_more = plus(factor, 1.0f);
  if (!one_more) return std::nullopt;
  if (one_more->node->is("erf")) {
    if (const auto x = unscaled(one_more->node->inputs[0], kSqrtHalf)) return Match{"gelu", gelu_attrs(false), *x, 0.5};
  }
  if (one_more->node->is("tanh")) {
    if (const auto x = tanh_argument(editor, one_more->node->inputs[0])) return Match{"gelu", gelu_attrs(true), *x, 0.5};
  }
  return std::nullopt;
}

// Factors of the tree of multiplications at `value` that may be the special one.
void candidates(ir::Value value, int depth, std::vector<ir::Value>& found) {
  const ir::Node* node = value.node;
  if (depth < kMaxDepth && (node->is("mul") || node->is("div"))) {
    for (const ir::Value& input : node->inputs) candidates(input, depth + 1, found);
  } else if (node->is("sigmoid") || node->is("hard_sigmoid") || node->is("relu6") || node->is("erfc") || node->is("add")) {
    found.push_back(value);
  }
}

bool same_as_result(const ir::Node& node, ir::Value x) { return is_float(x) && same_shape(shape_of(x), node.outputs[0].shape); }

bool fuse_product(Editor& editor, ir::Node* node) {
  std::vector<ir::Value> found;
  candidates(node->output(), 0, found);
  if (found.size() > 8) return false;
  for (const ir::Value& factor : found) {
    const auto match = special(editor, factor);
    if (!match || !same_as_result(*node, match->x)) continue;
    const auto product = product_of(editor, node->output(), match->x);
    if (!product) continue;
    std::vector<ir::Node*> absorbed = product->nodes;
    absorbed.push_back(factor.node);
    const auto& f = product->factors;
    const bool pair = f.size() == 2 && ((f[0] == match->x && f[1] == factor) || (f[1] == match->x && f[0] == factor));
    if (pair && near(product->number, match->number)) {
      editor.become(node, match->op, {match->x}, match->attrs, absorbed);
      return true;
    }
    if (f.size() == 1 && f[0] == factor && factor.node->is("relu6") && near(product->number, 1.0 / 6)) {
      editor.become(node, "hard_sigmoid", {match->x}, {}, absorbed);
      return true;
    }
  }
  return false;
}

// min(max(x, low), high) in either order; low or high may be missing.
struct Clip {
  ir::Value x;
  float low, high;
  std::vector<ir::Node*> nodes;
};

std::optional<Clip> clip_of(ir::Node* node) {
  const auto bound = [](const ir::Node& n) { return scalar_of(n.inputs[1]); };
  if (node->is("clip_by_value")) {
    const auto low = scalar_of(node->inputs[1]), high = scalar_of(node->inputs[2]);
    if (!low || !high) return std::nullopt;
    return Clip{node->inputs[0], *low, *high, {node}};
  }
  const bool outer_min = node->is("minimum");
  if (!outer_min && !node->is("maximum")) return std::nullopt;
  ir::Node* inner = node->inputs[0].node;
  if (!inner->is(outer_min ? "maximum" : "minimum") || !bound(*node) || !bound(*inner)) return std::nullopt;
  const float low = outer_min ? *bound(*inner) : *bound(*node), high = outer_min ? *bound(*node) : *bound(*inner);
  return Clip{inner->inputs[0], low, high, {node, inner}};
}

bool fuse_clip(Editor& editor, ir::Node* node) {
  if (node->is("maximum") && is_float(node->inputs[0]) && scalar_of(node->inputs[1]) == 0.0f && same_as_result(*node, node->inputs[0])) {
    const ir::Node* user = editor.sole_user(node->output());
    if (user == nullptr || !user->is("minimum")) {
      editor.become(node, "relu", {node->inputs[0]}, {});
      return true;
    }
  }
  const auto clip = clip_of(node);
  if (!clip || !(clip->low <= clip->high) || !same_as_result(*node, clip->x)) return false;
  ir::Attrs attrs;
  if (clip->low == 0 && clip->high == 6) {
    editor.become(node, "relu6", {clip->x}, {}, clip->nodes);
    return true;
  }
  // clip(a x + b, 0, 1): a hard sigmoid.
  if (clip->low == 0 && clip->high == 1 && clip->x.node->is("add") && scalar_of(clip->x.node->inputs[1])) {
    ir::Node* sum = clip->x.node;
    ir::Node* scaled = sum->inputs[0].node;
    if (scaled->is("mul") && scalar_of(scaled->inputs[1]) && same_as_result(*node, scaled->inputs[0])) {
      attrs.set("alpha", *scalar_of(scaled->inputs[1]));
      attrs.set("beta", *scalar_of(sum->inputs[1]));
      std::vector<ir::Node*> absorbed = clip->nodes;
      absorbed.insert(absorbed.end(), {sum, scaled});
      editor.become(node, "hard_sigmoid", {scaled->inputs[0]}, std::move(attrs), absorbed);
      return true;
    }
  }
  attrs.set("alpha", clip->low);
  attrs.set("beta", clip->high);
  editor.become(node, "clip", {clip->x}, std::move(attrs), clip->nodes);
  return true;
}

// max(x, a x), 0 < a < 1.
bool fuse_leaky_relu(Editor& editor, ir::Node* node) {
  for (int i = 0; i < 2; ++i) {
    const ir::Value x = node->inputs[static_cast<std::size_t>(i)];
    ir::Node* scaled = node->inputs[static_cast<std::size_t>(1 - i)].node;
    if (!scaled->is("mul") || scaled->inputs[0] != x || !same_as_result(*node, x)) continue;
    const auto alpha = scalar_of(scaled->inputs[1]);
    if (!alpha || !(*alpha > 0 && *alpha < 1)) continue;
    ir::Attrs attrs;
    attrs.set("alpha", *alpha);
    ir::Node* absorbed[] = {scaled};
    editor.become(node, "leaky_relu", {x}, std::move(attrs), absorbed);
    return true;
  }
  return false;
}

}  // namespace

bool fuse_activations(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (editor.released(node) || node->outputs.size() != 1 || node->outputs[0].dtype != DataType::kFloat32) continue;
    if (node->is("mul") || node->is("div")) fuse_product(editor, node);
    if (node->is("minimum") || node->is("maximum") || node->is("clip_by_value")) {
      if (!fuse_clip(editor, node) && node->is("maximum")) fuse_leaky_relu(editor, node);
    }
  }
  return editor.finish();
}

}  // namespace tenon::passes
