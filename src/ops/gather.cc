// Picking slices by index, and one-hot rows.
#include <algorithm>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// gather: params, indices, and perhaps the axis. The first batch_dims axes of both run together.
void infer_gather(InferContext& ctx) {
  ctx.expect_inputs(2, 3);
  const PartialShape& params = ctx.input_shape(0);
  const PartialShape& indices = ctx.input_shape(1);
  const DataType dtype = ctx.input_dtype(0);
  const auto known_axis = ctx.num_inputs() == 3 ? known_integer(ctx, 2) : std::optional<std::int64_t>(0);
  if (!params.known_rank() || !indices.known_rank()) return ctx.set_output(0, dtype, {});
  const auto listed = ctx.attrs().get_or<std::int64_t>("batch_dims", 0);
  const auto batch = static_cast<int>(listed < 0 ? listed + indices.rank() : listed);
  if (listed < -indices.rank() || listed > indices.rank() || batch > params.rank())
    ctx.fail_node("batch_dims is {}", listed);
  if (params.rank() == 0) ctx.fail_node("a scalar cannot be gathered from");
  if (!known_axis) return ctx.set_output(0, dtype, ctx.fresh_shape(params.rank() - 1 + indices.rank() - batch));
  const int axis = ir::normalize_axis(ctx, *known_axis, params.rank());
  if (axis < batch) ctx.fail_node("axis {} lies within the {} batch dimensions", axis, batch);
  std::vector<Dim> dims(params.dims().begin(), params.dims().begin() + axis);
  for (int i = 0; i < batch; ++i) {
    if (!params[i].known()) dims[static_cast<std::size_t>(i)] = indices[i];
  }
  dims.insert(dims.end(), indices.dims().begin() + batch, indices.dims().end());
  dims.insert(dims.end(), params.dims().begin() + axis + 1, params.dims().end());
  ctx.set_output(0, dtype, PartialShape(std::move(dims)));
  const auto sizes = ctx.dims(0);
  const auto picks = known_integers(ctx, 1);
  if (!sizes || !picks || params.rank() != 1 || indices.rank() > 1) return;
  std::vector<Dim> picked;
  for (std::int64_t pick : *picks) {
    if (pick < 0 || pick >= static_cast<std::int64_t>(sizes->size())) return;
    picked.push_back((*sizes)[static_cast<std::size_t>(pick)]);
  }
  ctx.set_dims(0, std::move(picked));
}

void evaluate_gather(EvalContext& ctx) {
  const Tensor params = ctx.input(0), indices = ctx.input(1);
  const auto listed = ctx.attrs().get_or<std::int64_t>("batch_dims", 0);
  const std::int64_t wanted = listed < 0 ? listed + indices.rank() : listed;
  if (wanted < 0 || wanted > indices.rank() || wanted > params.rank()) ctx.fail_node("batch_dims is {}", listed);
  const int batch = static_cast<int>(wanted);
  if (params.rank() == 0) ctx.fail_node("a scalar cannot be gathered from");
  const int axis = ctx.normalize_axis(ctx.num_inputs() == 3 ? ctx.integer(2) : 0, params.rank());
  if (axis < batch) ctx.fail_node("axis {} lies within the {} batch dimensions", axis, batch);
  std::vector<std::int64_t> dims(params.shape().begin(), params.shape().begin() + axis);
  for (int i = 0; i < batch; ++i) {
    if (params.dim(i) != indices.dim(i))
      ctx.fail_node("batch axis {} differs: {} and {}", i, params.describe(), indices.describe());
  }
  dims.insert(dims.end(), indices.shape().begin() + batch, indices.shape().end());
  dims.insert(dims.end(), params.shape().begin() + axis + 1, params.shape().end());
  const std::int64_t batches = product(params.shape(), 0, batch), outer = product(params.shape(), batch, axis);
  const std::int64_t size = params.dim(axis), inner = product(params.shape(), axis + 1, params.rank());
  const std::int64_t picks = product(indices.shape(), batch, indices.rank());
  const std::vector<std::int64_t> index = ctx.integers(1);
  Tensor& output = ctx.allocate(0, params.dtype(), Shape(std::move(dims)));
  for (std::size_t i = 0; i < index.size(); ++i) {
    if (index[i] < 0 || index[i] >= size) ctx.fail_node("indices[{}] is {}, outside [0, {})", i, index[i], size);
  }
  visit_storage(params.dtype(), [&](auto tag) {
    using E = typename decltype(tag)::type;
    const E* from = stored<E>(params);
    E* to = stored<E>(output);
    for (std::int64_t b = 0; b < batches; ++b) {
      for (std::int64_t o = 0; o < outer; ++o, from += size * inner) {
        for (std::int64_t i = 0; i < picks; ++i)
          to = std::copy_n(from + index[static_cast<std::size_t>(b * picks + i)] * inner, inner, to);
      }
    }
  });
}

// gather_nd: params, indices; the last axis of indices holds coordinates into the first axes of params.
void infer_gather_nd(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape& params = ctx.input_shape(0);
  const PartialShape& indices = ctx.input_shape(1);
  if (!params.known_rank() || !indices.known_rank()) return ctx.set_output(0, ctx.input_dtype(0), {});
  if (indices.rank() == 0) ctx.fail_node("the indices are a scalar");
  const Dim depth = indices[indices.rank() - 1];
  if (!depth.known()) return ctx.set_output(0, ctx.input_dtype(0), {});
  if (depth.size() > params.rank())
    ctx.fail_node("indices have {} coordinates, params has rank {}", depth.size(), params.rank());
  std::vector<Dim> dims(indices.dims().begin(), indices.dims().end() - 1);
  dims.insert(dims.end(), params.dims().begin() + depth.size(), params.dims().end());
  ctx.set_output(0, ctx.input_dtype(0), PartialShape(std::move(dims)));
}

void evaluate_gather_nd(EvalContext& ctx) {
  const Tensor params = ctx.input(0), indices = ctx.input(1);
  if (params.rank() == 0 || indices.rank() == 0 || indices.dim(indices.rank() - 1) > params.rank()) {
    ctx.fail_node("indices {} do not address {}", indices.describe(), params.describe());
  }
  const bool ignore = ctx.attrs().get_or<std::string>("bad_indices_policy", "") == "IGNORE";
  const int depth = static_cast<int>(indices.dim(indices.rank() - 1));
  std::vector<std::int64_t> dims(indices.shape().begin(), indices.shape().end() - 1);
  const std::int64_t rows = product(indices.shape(), 0, indices.rank() - 1);
  const std::int64_t inner = product(params.shape(), depth, params.rank());
  dims.insert(dims.end(), params.shape().begin() + depth, params.shape().end());
  const std::vector<std::int64_t> index = ctx.integers(1);
  Tensor& output = ctx.allocate(0, params.dtype(), Shape(std::move(dims)));
  if (ignore) set_zero(output);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t position = 0;
    bool inside = true;
    for (int d = 0; d < depth; ++d) {
      const std::int64_t at = index[static_cast<std::size_t>(row * depth + d)];
      inside &= at >= 0 && at < params.dim(d);
      position = position * params.dim(d) + (inside ? at : 0);
    }
    if (inside) {
      copy_range(output, row * inner, params, position * inner, inner);
    } else if (!ignore) {
      ctx.fail_node("row {} of the indices is outside {}", row, params.describe());
    }
  }
}

// one_hot: indices, depth, on_value, off_value; a new axis of size depth at attribute axis (-1: last).
void infer_one_hot(InferContext& ctx) {
  ctx.expect_inputs(4);
  const PartialShape& indices = ctx.input_shape(0);
  if (!indices.known_rank()) return ctx.set_output(0, ctx.input_dtype(2), {});
  const int axis = ir::normalize_axis(ctx, ctx.attrs().get_or<std::int64_t>("axis", -1), indices.rank() + 1);
  const auto depth = ctx.dims(1);
  std::vector<Dim> dims = indices.dims();
  dims.insert(dims.begin() + axis, depth && depth->size() == 1 ? (*depth)[0] : ctx.fresh());
  ctx.set_output(0, ctx.input_dtype(2), PartialShape(std::move(dims)));
}

void evaluate_one_hot(EvalContext& ctx) {
  const Tensor indices = ctx.input(0), on = ctx.input(2), off = ctx.input(3);
  const int axis = ctx.normalize_axis(ctx.attrs().get_or<std::int64_t>("axis", -1), indices.rank() + 1);
  const std::int64_t depth = ctx.integer(1);
  if (depth < 0) ctx.fail_node("the depth is {}", depth);
  expect_rank(ctx, 1, 0);
  if (on.rank() != 0 || off.rank() != 0)
    ctx.fail_node("on_value is {} and off_value {}; scalars are needed", on.describe(), off.describe());
  std::vector<std::int64_t> dims = indices.shape().dims();
  dims.insert(dims.begin() + axis, depth);
  const std::int64_t inner = product(indices.shape(), axis, indices.rank());
  Tensor& output = ctx.allocate(0, on.dtype(), Shape(std::move(dims)));
  set_all(output, off);
  visit_dtype(Integers{}, indices.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto index = indices.flat<T>();
    visit_storage(on.dtype(), [&](auto element) {
      using E = typename decltype(element)::type;
      for (std::size_t i = 0; i < index.size(); ++i) {
        const auto hot = static_cast<std::int64_t>(index[i]);
        if (hot < 0 || hot >= depth) continue;
        const auto at = static_cast<std::int64_t>(i);
        stored<E>(output)[(at / inner * depth + hot) * inner + at % inner] = *stored<E>(on);
      }
    });
  });
}

constexpr ir::OpDef kOps[] = {
    {"gather", infer_gather, evaluate_gather},
    {"gather_nd", infer_gather_nd, evaluate_gather_nd},
    {"one_hot", infer_one_hot, evaluate_one_hot},
};

constexpr ImportRule kRules[] = {
    {"Gather", "gather"},
    {"GatherV2", "gather"},
    {"GatherNd", "gather_nd"},
    {"OneHot", "one_hot"},
};

}  // namespace

const OpFamily& gather_family() {
  static const OpFamily family{"gather", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
