// Ragged tensors as elements of variant tensors: how loops carry rows of them.
#include <algorithm>
#include <numeric>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/element_shape.h"
#include "ops/elements.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using Integers = std::vector<std::int64_t>;

// A ragged tensor; a dense one when it has no splits.
struct RaggedValue : Object {
  std::vector<Integers> splits;  // outermost first
  Tensor values;

  std::int64_t rows() const { return splits.empty() ? values.dim(0) : static_cast<std::int64_t>(splits[0].size()) - 1; }
};
using RaggedPtr = std::shared_ptr<RaggedValue>;

Tensor splits_tensor(DataType dtype, const Integers& values) {
  if (dtype == DataType::kInt32) return Tensor::vector<std::int32_t>(std::vector<std::int32_t>(values.begin(), values.end()));
  return Tensor::vector<std::int64_t>(values);
}

// --- ragged_to_variant: splits…, values -> one variant, or one per row when batched_input

void infer_to_variant(InferContext& ctx) {
  const bool batched = ctx.attrs().get<bool>("batched_input");
  if (!batched) return ctx.set_output(0, DataType::kVariant, Shape{});
  const PartialShape& first = ctx.input_shape(0);
  Dim rows = ctx.fresh();
  if (first.known_rank() && first.rank() >= 1 && first[0].known() && ctx.num_inputs() == 1) rows = first[0];
  if (first.known_rank() && first.rank() == 1 && first[0].known() && first[0].size() > 0 && ctx.num_inputs() > 1) rows = first[0].size() - 1;
  ctx.set_output(0, DataType::kVariant, PartialShape{rows});
}

RaggedValue ragged_operand(const EvalContext& ctx) {
  RaggedValue ragged;
  const int depth = ctx.num_inputs() - 1;
  if (depth < 0) ctx.fail_node("has no values");
  ragged.values = ctx.input(depth);
  if (ragged.values.rank() == 0 && (depth > 0 || ctx.attrs().get<bool>("batched_input"))) ctx.fail_node("the values are a scalar");
  for (int i = 0; i < depth; ++i) {
    ragged.splits.push_back(ctx.integers(i));
    const Integers& splits = ragged.splits.back();
    if (splits.empty() || splits[0] != 0 || !std::is_sorted(splits.begin(), splits.end())) ctx.fail_node("row splits {} are malformed", i);
  }
  for (int i = 0; i < depth; ++i) {
    const bool last = i + 1 == depth;
    const std::int64_t below = last ? ragged.values.dim(0) : static_cast<std::int64_t>(ragged.splits[static_cast<std::size_t>(i) + 1].size()) - 1;
    if (ragged.splits[static_cast<std::size_t>(i)].back() != below) ctx.fail_node("row splits {} do not end at {}", i, below);
  }
  return ragged;
}

// Row `row` of a ragged tensor that has splits, or of a dense one.
RaggedPtr row_of(const RaggedValue& ragged, std::int64_t row) {
  auto out = std::make_shared<RaggedValue>();
  if (ragged.splits.empty()) {
    out->values = ragged.values.rows(row, 1).reshaped(without_rows(ragged.values.shape()));
    return out;
  }
  const auto r = static_cast<std::size_t>(row);
  std::int64_t first = ragged.splits[0][r], last = ragged.splits[0][r + 1];
  for (std::size_t level = 1; level < ragged.splits.size(); ++level) {
    const Integers& splits = ragged.splits[level];
    Integers own(splits.begin() + first, splits.begin() + last + 1);
    first = own.front();
    last = own.back();
    for (std::int64_t& s : own) s -= first;
    out->splits.push_back(std::move(own));
  }
  out->values = ragged.values.rows(first, last - first);
  return out;
}

void evaluate_to_variant(EvalContext& ctx) {
  RaggedValue ragged = ragged_operand(ctx);
  if (!ctx.attrs().get<bool>("batched_input")) {
    ctx.allocate(0, DataType::kVariant, {}).flat<ObjectPtr>()[0] = std::make_shared<RaggedValue>(std::move(ragged));
    return;
  }
  Tensor& out = ctx.allocate(0, DataType::kVariant, {ragged.rows()});
  for (std::int64_t r = 0; r < ragged.rows(); ++r) out.flat<ObjectPtr>()[static_cast<std::size_t>(r)] = row_of(ragged, r);
}

// --- ragged_from_variant: variants -> splits…, values; the variants' own shape becomes the outermost dimensions

void infer_from_variant(InferContext& ctx) {
  const auto depth = ctx.attrs().get<std::int64_t>("output_ragged_rank");
  if (depth < 0 || depth > 64) ctx.fail_node("output_ragged_rank is {}", depth);
  for (int i = 0; i < depth; ++i) {
    ctx.set_output(i, ctx.attrs().get_or<DataType>("Tsplits", DataType::kInt64), PartialShape{ctx.fresh()});
  }
  ctx.set_output(static_cast<int>(depth), ctx.attrs().get<DataType>("Tvalues"), {});
  ctx.set_num_outputs(static_cast<int>(depth) + 1);
}

std::vector<RaggedPtr> components(const EvalContext& ctx, std::size_t depth, DataType dtype) {
  if (ctx.input(0).dtype() != DataType::kVariant) ctx.fail_node("the operand is {}", ctx.input(0).describe());
  std::vector<RaggedPtr> parts;
  for (const ObjectPtr& object : ctx.input(0).flat<ObjectPtr>()) {
    auto part = std::dynamic_pointer_cast<RaggedValue>(object);
    if (part == nullptr) ctx.fail_node("an element of the operand is no ragged tensor");
    if (part->splits.size() != depth || part->values.dtype() != dtype) {
      ctx.fail_node("an element has {} splits and values {}, wanted are {} and {}", part->splits.size(), part->values.describe(), depth,
                    dtype_name(dtype));
    }
    if (part->splits.empty() && part->values.rank() == 0 && ctx.input(0).rank() > 0 && ctx.num_outputs() > ctx.input(0).rank()) {
      ctx.fail_node("an element is a scalar, it has no rows");
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

// The parts' values one below the other.
Tensor stacked_values(const EvalContext& ctx, const std::vector<RaggedPtr>& parts, DataType dtype) {
  std::int64_t rows = 0;
  Shape row;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i]->values.rank() == 0) ctx.fail_node("an element is a scalar, it has no rows");
    const Shape own = without_rows(parts[i]->values.shape());
    if (i > 0 && own != row) ctx.fail_node("elements with values of shapes {} and {}", row.to_string(), own.to_string());
    row = own;
    rows += parts[i]->values.dim(0);
  }
  Tensor out(dtype, with_rows(rows, row));
  std::int64_t at = 0;
  for (const RaggedPtr& part : parts) {
    copy_elements(out, at, part->values, 0, part->values.num_elements());
    at += part->values.num_elements();
  }
  return out;
}

void evaluate_from_variant(EvalContext& ctx) {
  const Tensor& encoded = ctx.input(0);
  const auto out_depth = ctx.attrs().get<std::int64_t>("output_ragged_rank");
  auto depth = ctx.attrs().get<std::int64_t>("input_ragged_rank");
  if (depth == -1) depth = out_depth - encoded.rank();
  if (depth < 0 || depth + encoded.rank() != out_depth) {
    ctx.fail_node("input_ragged_rank {}, output_ragged_rank {} and the operand {} do not go together", depth, out_depth, encoded.describe());
  }
  const auto dtype = ctx.attrs().get<DataType>("Tvalues");
  const auto splits_type = ctx.attrs().get_or<DataType>("Tsplits", DataType::kInt64);
  const std::vector<RaggedPtr> parts = components(ctx, static_cast<std::size_t>(depth), dtype);
  int output = 0;
  if (encoded.rank() == 0) {
    for (const Integers& splits : parts[0]->splits) ctx.set_output(output++, splits_tensor(splits_type, splits));
    return ctx.set_output(output, parts[0]->values);
  }
  std::int64_t groups = 1;  // dimensions of the operand after the first are rows of equal length
  for (int d = 0; d + 1 < encoded.rank(); ++d) {
    groups *= encoded.dim(d);
    Integers even(static_cast<std::size_t>(groups) + 1);
    for (std::size_t i = 0; i < even.size(); ++i) even[i] = static_cast<std::int64_t>(i) * encoded.dim(d + 1);
    ctx.set_output(output++, splits_tensor(splits_type, even));
  }
  Integers outer = {0};
  for (const RaggedPtr& part : parts) {
    if (part->splits.empty() && part->values.rank() == 0) ctx.fail_node("an element is a scalar, it has no rows");
    outer.push_back(outer.back() + part->rows());
  }
  ctx.set_output(output++, splits_tensor(splits_type, outer));
  for (std::size_t level = 0; level < static_cast<std::size_t>(depth); ++level) {
    Integers joined = {0};
    for (const RaggedPtr& part : parts) {
      const std::int64_t base = joined.back();
      for (std::size_t i = 1; i < part->splits[level].size(); ++i) joined.push_back(base + part->splits[level][i]);
    }
    ctx.set_output(output++, splits_tensor(splits_type, joined));
  }
  ctx.set_output(output, stacked_values(ctx, parts, dtype));
}

constexpr ir::OpDef kOps[] = {
    {"ragged_to_variant", infer_to_variant, evaluate_to_variant, ir::kStateful},  // never folded: no file can hold its result
    {"ragged_from_variant", infer_from_variant, evaluate_from_variant},
};

constexpr ImportRule kRules[] = {
    {"RaggedTensorToVariant", "ragged_to_variant"},
    {"RaggedTensorFromVariant", "ragged_from_variant"},
};

}  // namespace

const OpFamily& ragged_variant_family() {
  static const OpFamily family{"ragged_variant", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
