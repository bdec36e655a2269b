// Dealing slices out to several tensors by number, and putting them together again.
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

std::int64_t partition_count(const ir::Attrs& attrs) {
  const auto count = attrs.get<std::int64_t>("num_partitions");
  if (count < 1 || count > 1 << 20) fail(ErrorCode::kInvalidModel, "num_partitions is {}", count);
  return count;
}

// dynamic_partition: data, partitions (a prefix of data's shape) -> num_partitions tensors [count, rest of data's shape].
void infer_dynamic_partition(InferContext& ctx) {
  ctx.expect_inputs(2);
  const std::int64_t count = partition_count(ctx.attrs());
  ctx.set_num_outputs(static_cast<int>(count));
  const PartialShape& data = ctx.input_shape(0);
  const PartialShape& numbers = ctx.input_shape(1);
  for (int i = 0; i < count; ++i) {
    if (!data.known_rank() || !numbers.known_rank()) {
      ctx.set_output(i, ctx.input_dtype(0), {});
      continue;
    }
    if (numbers.rank() > data.rank())
      ctx.fail_node("partitions {} are no prefix of {}", numbers.to_string(), data.to_string());
    std::vector<Dim> dims{ctx.fresh()};
    dims.insert(dims.end(), data.dims().begin() + numbers.rank(), data.dims().end());
    ctx.set_output(i, ctx.input_dtype(0), PartialShape(std::move(dims)));
  }
}

bool starts_with(const Shape& shape, const Shape& prefix) {
  return shape.rank() >= prefix.rank() && std::equal(prefix.begin(), prefix.end(), shape.begin());
}

void evaluate_dynamic_partition(EvalContext& ctx) {
  const Tensor data = ctx.input(0);
  const Shape& prefix = ctx.input(1).shape();
  const std::vector<std::int64_t> numbers = ctx.integers(1);
  const std::int64_t count = partition_count(ctx.attrs());
  if (!starts_with(data.shape(), prefix))
    ctx.fail_node("partitions {} are no prefix of {}", prefix.to_string(), data.describe());
  std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] >= count) ctx.fail_node("partitions[{}] is {}, outside [0, {})", i, numbers[i], count);
    rows[static_cast<std::size_t>(numbers[i])].push_back(static_cast<std::int64_t>(i));
  }
  Shape shape{static_cast<std::int64_t>(numbers.size())};
  for (int i = prefix.rank(); i < data.rank(); ++i) shape.push_back(data.dim(i));
  const Tensor flat = data.reshaped(shape);
  for (int i = 0; i < count; ++i) ctx.set_output(i, take(flat, 0, rows[static_cast<std::size_t>(i)]));
}

// dynamic_stitch: indices…, data…; slice i of result row indices[k][i] is data[k][i], the last one counts.
void infer_dynamic_stitch(InferContext& ctx) {
  if (ctx.num_inputs() < 2 || ctx.num_inputs() % 2 != 0) ctx.fail_node("has {} inputs, needs pairs", ctx.num_inputs());
  const int pairs = ctx.num_inputs() / 2;
  std::int64_t most = -1;
  bool all_known = true;
  PartialShape result;
  for (int k = 0; k < pairs; ++k) {
    if (const auto indices = constant_elements(ctx, k)) {
      for (std::int64_t index : *indices) most = std::max(most, index);
    } else {
      all_known = false;
    }
    const PartialShape& indices = ctx.input_shape(k);
    const PartialShape& data = ctx.input_shape(pairs + k);
    if (result.known_rank() || !indices.known_rank() || !data.known_rank() || data.rank() < indices.rank()) continue;
    std::vector<Dim> dims{ctx.fresh()};
    dims.insert(dims.end(), data.dims().begin() + indices.rank(), data.dims().end());
    result = PartialShape(std::move(dims));
  }
  if (result.known_rank() && all_known) result[0] = most + 1;
  ctx.set_output(0, ctx.input_dtype(pairs), std::move(result));
  if (!all_known || most >= 254) return;
  std::vector<Dim> elements(static_cast<std::size_t>(most + 1), Dim(0));  // sizes that are stitched stay sizes
  for (int k = 0; k < pairs; ++k) {
    const auto dims = ctx.dims(pairs + k);
    const auto indices = constant_elements(ctx, k);
    if (!dims || dims->size() != indices->size()) return;
    for (std::size_t i = 0; i < indices->size(); ++i) {
      if ((*indices)[i] < 0) return;
      elements[static_cast<std::size_t>((*indices)[i])] = (*dims)[i];
    }
  }
  ctx.set_dims(0, std::move(elements));
}

void evaluate_dynamic_stitch(EvalContext& ctx) {
  const int pairs = ctx.num_inputs() / 2;
  if (pairs < 1 || ctx.num_inputs() != 2 * pairs) ctx.fail_node("has {} inputs, needs pairs", ctx.num_inputs());
  std::int64_t most = -1;
  std::optional<std::vector<std::int64_t>> rest;
  for (int k = 0; k < pairs; ++k) {
    const Tensor& indices = ctx.input(k);
    const Tensor& data = ctx.input(pairs + k);
    if (!starts_with(data.shape(), indices.shape()))
      ctx.fail_node("indices {} are no prefix of {}", indices.describe(), data.describe());
    const std::vector<std::int64_t> own(data.shape().begin() + indices.rank(), data.shape().end());
    if ((rest && *rest != own) || data.dtype() != ctx.input(pairs).dtype())
      ctx.fail_node("data {} does not match the first", data.describe());
    rest = own;
    for (std::int64_t index : ctx.integers(k)) {
      if (index < 0) ctx.fail_node("index {} is negative", index);
      most = std::max(most, index);
    }
  }
  rest->insert(rest->begin(), most + 1);
  Tensor output(ctx.input(pairs).dtype(), Shape(*rest));
  set_zero(output);
  const std::int64_t inner = product(output.shape(), 1, output.rank());
  for (int k = 0; k < pairs; ++k) {
    const std::vector<std::int64_t> indices = ctx.integers(k);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      copy_range(output, indices[i] * inner, ctx.input(pairs + k), static_cast<std::int64_t>(i) * inner, inner);
    }
  }
  ctx.set_output(0, std::move(output));
}

constexpr ir::OpDef kOps[] = {
    {"dynamic_partition", infer_dynamic_partition, evaluate_dynamic_partition},
    {"dynamic_stitch", infer_dynamic_stitch, evaluate_dynamic_stitch},
};

constexpr ImportRule kRules[] = {
    {"DynamicPartition", "dynamic_partition"},
    {"DynamicStitch", "dynamic_stitch"},
    {"ParallelDynamicStitch", "dynamic_stitch"},
};

}  // namespace

const OpFamily& partition_stitch_family() {
  static const OpFamily family{"partition_stitch", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
