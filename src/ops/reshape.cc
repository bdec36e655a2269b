// Reshape, and the symbols that survive it.
#include "ops/reshape.h"

#include <algorithm>

#include "ir/infer_context.h"
#include "ops/operands.h"

namespace tenon::ops {
namespace {

using ir::InferContext;

// One entry of a shape that is asked for: a size, or nothing for -1, "what is left".
using Entry = std::optional<Dim>;

std::optional<std::vector<Entry>> entries_of_constant(const Tensor& tensor) {
  if (tensor.rank() > 1) return std::nullopt;
  std::vector<Entry> entries;
  const auto append = [&](auto values) {
    for (auto value : values) {
      if (value < -1) return false;
      entries.push_back(value == -1 ? Entry() : Entry(Dim(static_cast<std::int64_t>(value))));
    }
    return true;
  };
  if (tensor.dtype() == DataType::kInt32 && append(tensor.flat<std::int32_t>())) return entries;
  if (tensor.dtype() == DataType::kInt64 && append(tensor.flat<std::int64_t>())) return entries;
  return std::nullopt;
}

std::optional<std::vector<Entry>> entries_of(const InferContext& ctx, ir::Value value, int depth = 0);

std::optional<std::vector<Entry>> entries_of_operands(const InferContext& ctx, const ir::Node& node, std::size_t count,
                                                      int depth) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < std::min(count, node.inputs.size()); ++i) {
    const auto part = entries_of(ctx, node.inputs[i], depth + 1);
    if (!part) return std::nullopt;
    entries.insert(entries.end(), part->begin(), part->end());
    if (entries.size() > 254) return std::nullopt;
  }
  return entries;
}

// Sizes, symbols and a literal -1 that was packed or concatenated with them (which InferContext::dims cannot express).
std::optional<std::vector<Entry>> entries_of(const InferContext& ctx, ir::Value value, int depth) {
  constexpr int kMaxDepth = 8;
  if (const Tensor* constant = ctx.constant(value)) return entries_of_constant(*constant);
  if (const auto dims = ctx.dims(value)) return std::vector<Entry>(dims->begin(), dims->end());
  const ir::Node& node = *value.node;
  if (depth == kMaxDepth) return std::nullopt;
  const PartialShape& shape = node.outputs[static_cast<std::size_t>(value.index)].shape;
  if (!shape.known_rank() || shape.rank() > 1) return std::nullopt;
  if (node.is("pack")) return entries_of_operands(ctx, node, node.inputs.size(), depth);
  if (node.is("concat") && !node.inputs.empty()) return entries_of_operands(ctx, node, node.inputs.size() - 1, depth);
  if (node.is("identity") || node.is("cast")) {
    const auto index = static_cast<std::size_t>(value.index);
    if (index < node.inputs.size()) return entries_of(ctx, node.inputs[index], depth + 1);
  }
  return std::nullopt;
}

// A product as a number times symbols.
struct Product {
  std::int64_t number = 1;
  std::vector<Dim> symbols;
  bool overflow = false;

  void multiply(Dim dim) {
    if (dim.known()) {
      overflow |= __builtin_mul_overflow(number, dim.size(), &number);
    } else {
      symbols.push_back(dim);
    }
  }
};

// What `whole` divided by `part` is, when it is a number or one symbol.
std::optional<Dim> quotient(Product whole, const Product& part) {
  if (whole.overflow || part.overflow || part.number == 0) return std::nullopt;
  for (Dim symbol : part.symbols) {
    const auto it = std::find(whole.symbols.begin(), whole.symbols.end(), symbol);
    if (it == whole.symbols.end()) return std::nullopt;
    whole.symbols.erase(it);
  }
  if (whole.symbols.empty()) {
    if (whole.number % part.number != 0) return std::nullopt;
    return Dim(whole.number / part.number);
  }
  if (whole.symbols.size() == 1 && whole.number == part.number) return whole.symbols[0];
  return std::nullopt;
}

// Solves for the one entry that is -1, or else for the one symbol that the input does not have.
void solve(std::vector<Entry>& entries, const PartialShape& input) {
  Product whole;
  for (Dim dim : input.dims()) whole.multiply(dim);
  const auto is_foreign = [&](const Entry& entry) {
    return !entry || (!entry->known() && std::find(input.dims().begin(), input.dims().end(), *entry) == input.dims().end());
  };
  auto unknown = std::find(entries.begin(), entries.end(), Entry());
  if (unknown == entries.end()) {
    if (std::count_if(entries.begin(), entries.end(), is_foreign) != 1) return;
    unknown = std::find_if(entries.begin(), entries.end(), is_foreign);
  }
  Product part;
  for (auto it = entries.begin(); it != entries.end(); ++it) {
    if (it == unknown) continue;
    if (!*it) return;
    part.multiply(**it);
  }
  if (const auto found = quotient(std::move(whole), part)) *unknown = *found;
}

}  // namespace

PartialShape reshaped_shape(InferContext& ctx, const PartialShape& input, ir::Value target) {
  auto entries = entries_of(ctx, target);
  if (!entries) {
    const PartialShape& shape = target.node->outputs[static_cast<std::size_t>(target.index)].shape;
    const auto rank = shape.num_elements();
    if (!rank || shape.rank() > 1) return {};
    if (*rank > 254) ctx.fail_node("the new shape has {} sizes, at most 254 are possible", *rank);
    return ctx.fresh_shape(static_cast<int>(*rank));
  }
  if (std::count(entries->begin(), entries->end(), Entry()) > 1) ctx.fail_node("the new shape has more than one -1");
  if (input.known_rank()) solve(*entries, input);
  std::vector<Dim> dims;
  for (const Entry& entry : *entries) dims.push_back(entry ? *entry : ctx.fresh());
  return PartialShape(std::move(dims));
}

Shape reshaped_shape(const ir::EvalContext& ctx, const Shape& input, std::vector<std::int64_t> sizes) {
  std::int64_t product = 1;
  auto unknown = sizes.end();
  bool has_zero = false;
  for (auto it = sizes.begin(); it != sizes.end(); ++it) {
    if (*it < -1) ctx.fail_node("the new shape has the negative size {}", *it);
    if (*it == -1) {
      if (unknown != sizes.end()) ctx.fail_node("the new shape has more than one -1");
      unknown = it;
    } else if (*it == 0) {
      has_zero = true;
    } else if (__builtin_mul_overflow(product, *it, &product)) {
      ctx.fail_node("the new shape has more elements than can be counted");
    }
  }
  if (unknown != sizes.end()) {
    // A 0 in the new shape takes the zeros of the input, and -1 gets what the others leave.
    std::int64_t elements = 1;
    for (std::int64_t dim : input) {
      if (dim > 0 || !has_zero) elements *= dim;
    }
    *unknown = elements / product;
  }
  Shape result(std::move(sizes));
  std::int64_t elements = 1;
  for (std::int64_t dim : result) {
    if (!has_zero && __builtin_mul_overflow(elements, dim, &elements)) ctx.fail_node("the new shape is too large");
  }
  if ((has_zero ? 0 : elements) != input.num_elements()) {
    ctx.fail_node("a tensor of shape {} has {} elements and cannot take shape {}", input.to_string(), input.num_elements(),
                  result.to_string());
  }
  return result;
}

}  // namespace tenon::ops
