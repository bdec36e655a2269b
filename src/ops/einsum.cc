// Einstein summation over one or two operands: ellipses, repeated labels (diagonals), sums, broadcasting.
#include <map>
#include <set>

#include "ops/arithmetic.h"
#include "ops/matmul.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// A label is a letter, or kEllipsis + n for the n-th dimension from the right that an ellipsis covers.
using Label = int;
constexpr Label kEllipsis = 1000;
using Labels = std::vector<Label>;

struct Equation {
  std::vector<std::string> inputs;
  std::string output;
};

[[noreturn]] void fail_equation(const std::string& equation, std::string_view why) {
  fail(ErrorCode::kInvalidModel, "the equation \"{}\" {}", equation, why);
}

Equation parse(const std::string& text) {
  std::string compact;
  for (char c : text) {
    if (c != ' ') compact += c;
  }
  const std::size_t arrow = compact.find("->");
  if (arrow == std::string::npos) fail_equation(text, "has no ->");
  Equation equation;
  equation.output = compact.substr(arrow + 2);
  std::string left = compact.substr(0, arrow);
  for (std::size_t comma; (comma = left.find(',')) != std::string::npos; left.erase(0, comma + 1)) {
    equation.inputs.push_back(left.substr(0, comma));
  }
  equation.inputs.push_back(left);
  return equation;
}

// The labels of one term when its ellipsis covers `covered` dimensions.
Labels expand(const std::string& equation, const std::string& term, int covered) {
  Labels labels;
  bool seen = false;
  for (std::size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
    } else if (term.compare(i, 3, "...") == 0 && !seen) {
      seen = true;
      for (int n = covered - 1; n >= 0; --n) labels.push_back(kEllipsis + n);
      i += 2;
    } else {
      fail_equation(equation, "has something that is neither a letter nor one ellipsis a term");
    }
  }
  return labels;
}

// How many dimensions the ellipsis of an operand of this rank covers; 0 without one.
int covered_by(const std::string& equation, const std::string& term, int rank) {
  const bool has_ellipsis = term.find("...") != std::string::npos;
  const int letters = static_cast<int>(term.size()) - (has_ellipsis ? 3 : 0);
  if (rank < letters || (!has_ellipsis && rank != letters)) fail_equation(equation, "does not fit the ranks of its operands");
  return rank - letters;
}

struct Terms {
  std::vector<Labels> inputs;
  Labels output;
};

Terms expand_all(const std::string& text, const std::vector<int>& ranks) {
  const Equation equation = parse(text);
  if (equation.inputs.size() != ranks.size()) fail_equation(text, "has another number of terms than there are operands");
  Terms terms;
  int most = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    const int covered = covered_by(text, equation.inputs[i], ranks[i]);
    most = std::max(most, covered);
    terms.inputs.push_back(expand(text, equation.inputs[i], covered));
  }
  if (most > 0 && equation.output.find("...") == std::string::npos) fail_equation(text, "drops the ellipsis of its operands");
  terms.output = expand(text, equation.output, most);
  for (Label label : terms.output) {
    const bool found = std::any_of(terms.inputs.begin(), terms.inputs.end(),
                                   [&](const Labels& in) { return std::find(in.begin(), in.end(), label) != in.end(); });
    if (!found) fail_equation(text, "has a label in its result that no operand has");
  }
  return terms;
}

bool contains(const Labels& labels, Label label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

void infer_einsum(InferContext& ctx) {
  const auto text = ctx.attrs().get<std::string>("equation");
  const DataType dtype = dtype_or_attr(ctx, 0);
  std::vector<int> ranks;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    if (!ctx.input_shape(i).known_rank()) {
      const Equation equation = parse(text);
      const bool open = equation.output.find("...") != std::string::npos;
      ctx.set_output(0, dtype, open ? PartialShape{} : ctx.fresh_shape(static_cast<int>(equation.output.size())));
      return;
    }
    ranks.push_back(ctx.input_shape(i).rank());
  }
  const Terms terms = expand_all(text, ranks);
  std::map<Label, Dim> sizes;
  for (std::size_t i = 0; i < terms.inputs.size(); ++i) {
    for (std::size_t d = 0; d < terms.inputs[i].size(); ++d) {
      const Label label = terms.inputs[i][d];
      const Dim size = ctx.input_shape(static_cast<int>(i))[static_cast<int>(d)];
      const auto [at, added] = sizes.emplace(label, size);
      if (added || at->second == size) continue;
      if (label >= kEllipsis) {
        at->second = broadcast_shapes(ctx, PartialShape{at->second}, PartialShape{size})[0];
      } else if (at->second.known() && size.known()) {
        ctx.fail_node("label {} stands for {} and {}", static_cast<char>(label), at->second.size(), size.size());
      } else if (size.known()) {
        at->second = size;
      }
    }
  }
  std::vector<Dim> dims;
  for (Label label : terms.output) dims.push_back(sizes.at(label));
  ctx.set_output(0, dtype, PartialShape(std::move(dims)));
}

using Sizes = std::map<Label, std::int64_t>;

Sizes bind_sizes(EvalContext& ctx, const Terms& terms) {
  Sizes sizes;
  for (std::size_t i = 0; i < terms.inputs.size(); ++i) {
    const Tensor& operand = ctx.input(static_cast<int>(i));
    for (std::size_t d = 0; d < terms.inputs[i].size(); ++d) {
      const Label label = terms.inputs[i][d];
      const std::int64_t size = operand.dim(static_cast<int>(d));
      const auto [at, added] = sizes.emplace(label, size);
      if (added || at->second == size) continue;
      if (label < kEllipsis || (at->second != 1 && size != 1)) {
        ctx.fail_node("a label stands for {} and {} in {}", at->second, size, operand.describe());
      }
      if (at->second == 1) at->second = size;
    }
  }
  return sizes;
}

// Dimensions to walk: sizes and the steps between elements.
struct Walk {
  std::vector<std::int64_t> sizes, strides;
  std::int64_t count() const {
    std::int64_t count = 1;
    for (std::int64_t size : sizes) count *= size;
    return count;
  }
  // True when walking visits 0, 1, 2, ….
  bool contiguous() const {
    std::int64_t expected = 1;
    for (std::size_t d = sizes.size(); d-- > 0;) {
      if (sizes[d] != 1 && strides[d] != expected) return false;
      expected *= sizes[d];
    }
    return true;
  }
};

// f(offset) for every position, in row-major order.
template <class F>
void walk(const Walk& w, F&& f) {
  const std::int64_t count = w.count();
  std::vector<std::int64_t> index(w.sizes.size(), 0);
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    f(offset);
    for (std::size_t d = w.sizes.size(); d-- > 0;) {
      offset += w.strides[d];
      if (++index[d] < w.sizes[d]) break;
      offset -= index[d] * w.strides[d];
      index[d] = 0;
    }
  }
}

// The steps of one operand per label: repeated labels walk the diagonal, broadcast dimensions stay.
std::map<Label, std::int64_t> label_strides(const Tensor& operand, const Labels& labels) {
  std::map<Label, std::int64_t> strides;
  std::int64_t stride = 1;
  for (std::size_t d = labels.size(); d-- > 0;) {
    const std::int64_t size = operand.dim(static_cast<int>(d));
    strides[labels[d]] += size == 1 ? 0 : stride;
    stride *= size;
  }
  return strides;
}

Walk walk_of(const Labels& order, const Sizes& sizes, const std::map<Label, std::int64_t>& strides) {
  Walk w;
  for (Label label : order) {
    const auto at = strides.find(label);
    w.sizes.push_back(sizes.at(label));
    w.strides.push_back(at == strides.end() ? 0 : at->second);
  }
  return w;
}

// An operand brought to a wanted order of labels, labels that it alone has summed away.
template <class T>
class Arranged {
 public:
  using C = ComputeType<T>;

  Arranged(const Tensor& operand, const Labels& labels, const Labels& order, const Sizes& sizes) {
    const auto strides = label_strides(operand, labels);
    Labels summed;
    for (const auto& [label, stride] : strides) {
      if (!contains(order, label)) summed.push_back(label);
    }
    const T* from = operand.flat<T>().data();
    const Walk outer = walk_of(order, sizes, strides);
    if constexpr (std::is_same_v<T, C>) {
      if (summed.empty() && outer.contiguous()) {
        data_ = from;
        return;
      }
    }
    buffer_.reserve(static_cast<std::size_t>(outer.count()));
    if (summed.empty()) {
      walk(outer, [&](std::int64_t at) { buffer_.push_back(static_cast<C>(from[at])); });
    } else {
      const Walk inner = walk_of(summed, sizes, strides);
      walk(outer, [&](std::int64_t at) {
        C sum(0);
        walk(inner, [&](std::int64_t step) { sum = arithmetic::Add::apply<C, C>(sum, static_cast<C>(from[at + step])); });
        buffer_.push_back(sum);
      });
    }
    data_ = buffer_.data();
  }

  const C* data() const { return data_; }

 private:
  std::vector<C> buffer_;
  const C* data_ = nullptr;
};

// The roles of labels in a contraction of two operands.
struct Roles {
  Labels batch, left, right, contracted;
};

Roles roles_of(const Terms& terms) {
  Roles roles;
  const std::set<Label> a(terms.inputs[0].begin(), terms.inputs[0].end()), b(terms.inputs[1].begin(), terms.inputs[1].end());
  std::set<Label> seen;
  for (Label label : terms.output) {
    if (!seen.insert(label).second) continue;
    (a.count(label) && b.count(label) ? roles.batch : a.count(label) ? roles.left : roles.right).push_back(label);
  }
  for (Label label : terms.inputs[0]) {
    if (b.count(label) && seen.insert(label).second) roles.contracted.push_back(label);
  }
  return roles;
}

std::int64_t product(const Labels& labels, const Sizes& sizes) {
  std::int64_t count = 1;
  for (Label label : labels) count *= sizes.at(label);
  return count;
}

Labels joined(const Labels& a, const Labels& b, const Labels& c) {
  Labels all = a;
  all.insert(all.end(), b.begin(), b.end());
  all.insert(all.end(), c.begin(), c.end());
  return all;
}

// Writes `from`, laid out in `order`, to the result; repeated labels of the result fill its diagonal.
template <class T>
void deliver(const ComputeType<T>* from, const Labels& order, const Terms& terms, const Sizes& sizes, Tensor& out) {
  const auto strides = label_strides(out, terms.output);
  T* to = out.flat<T>().data();
  if (static_cast<std::size_t>(strides.size()) != terms.output.size()) std::fill_n(to, out.num_elements(), T(0));
  walk(walk_of(order, sizes, strides), [&](std::int64_t at) { to[at] = static_cast<T>(*from++); });
}

template <class T>
void contract(EvalContext& ctx, const Terms& terms, const Sizes& sizes, Tensor& out) {
  using C = ComputeType<T>;
  const Roles roles = roles_of(terms);
  const Arranged<T> a(ctx.input(0), terms.inputs[0], joined(roles.batch, roles.left, roles.contracted), sizes);
  const Arranged<T> b(ctx.input(1), terms.inputs[1], joined(roles.batch, roles.contracted, roles.right), sizes);
  const std::int64_t batches = product(roles.batch, sizes), m = product(roles.left, sizes), n = product(roles.right, sizes),
                     k = product(roles.contracted, sizes);
  const Labels order = joined(roles.batch, roles.left, roles.right);
  const bool direct = std::is_same_v<T, C> && order == terms.output;
  std::vector<C> sums(direct ? 0 : static_cast<std::size_t>(batches * m * n));
  C* result = sums.data();
  if constexpr (std::is_same_v<T, C>) {
    if (direct) result = out.flat<T>().data();
  }
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    multiply_matrices(ctx.team(), a.data() + batch * m * k, b.data() + batch * k * n, result + batch * m * n, m, n, k);
  }
  if (!direct) deliver<T>(result, order, terms, sizes, out);
}

template <class T>
void rearrange(EvalContext& ctx, const Terms& terms, const Sizes& sizes, Tensor& out) {
  Labels order;
  for (Label label : terms.output) {
    if (!contains(order, label)) order.push_back(label);
  }
  const Arranged<T> a(ctx.input(0), terms.inputs[0], order, sizes);
  deliver<T>(a.data(), order, terms, sizes, out);
}

using EinsumTypes = Join<Floats, SignedIntegers, Complexes>;

void evaluate_einsum(EvalContext& ctx) {
  std::vector<int> ranks;
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    ranks.push_back(ctx.input(i).rank());
    if (ctx.input(i).dtype() != ctx.input(0).dtype()) ctx.fail_node("operands must have one dtype");
  }
  if (ranks.empty() || ranks.size() > 2) ctx.fail_node("has {} operands, 1 or 2 are possible", ranks.size());
  const Terms terms = expand_all(ctx.attrs().get<std::string>("equation"), ranks);
  const Sizes sizes = bind_sizes(ctx, terms);
  Shape shape;
  for (Label label : terms.output) shape.push_back(sizes.at(label));
  Tensor& out = ctx.allocate(0, ctx.input(0).dtype(), shape);
  if (out.num_elements() == 0) return;
  visit_dtype(EinsumTypes{}, out.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (ranks.size() == 1) {
      rearrange<T>(ctx, terms, sizes, out);
    } else {
      contract<T>(ctx, terms, sizes, out);
    }
  });
}

constexpr ir::OpDef kOps[] = {
    {"einsum", infer_einsum, evaluate_einsum},
};

constexpr ImportRule kRules[] = {
    {"Einsum", "einsum"},
};

}  // namespace

const OpFamily& einsum_family() {
  static const OpFamily family{"einsum", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
