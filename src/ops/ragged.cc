// Ragged tensors: values, and for each ragged axis the places where its rows begin.
#include <algorithm>
#include <cmath>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

DataType splits_dtype(const ir::Attrs& attrs) { return attrs.get_or<DataType>("Tsplits", DataType::kInt64); }

Tensor index_tensor(DataType dtype, const std::vector<std::int64_t>& values) {
  Tensor tensor(dtype, Shape{static_cast<std::int64_t>(values.size())});
  visit_dtype(IndexIntegers{}, dtype, "ragged", [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(values, tensor.flat<T>().begin(), [](std::int64_t value) { return static_cast<T>(value); });
  });
  return tensor;
}

int checked_count(const ir::Attrs& attrs, std::string_view name) {
  const auto count = attrs.get<std::int64_t>(name);
  if (count < 0 || count > 254) fail(ErrorCode::kInvalidModel, "attribute \"{}\" is {}", name, count);
  return static_cast<int>(count);
}

// Row starts of a vector operand; throws unless they begin at 0, never fall and end within `limit`.
std::vector<std::int64_t> row_splits(const EvalContext& ctx, int i, std::int64_t limit) {
  expect_rank(ctx, i, 1);
  std::vector<std::int64_t> splits = ctx.integers(i);
  if (splits.empty() || splits.front() != 0 || !std::ranges::is_sorted(splits) || splits.back() > limit) {
    ctx.fail_node("input {} does not hold the row starts of {} values", i, limit);
  }
  return splits;
}

// ragged_range: starts, limits, deltas (vectors, or scalars that repeat) -> row starts, values.
void infer_ragged_range(InferContext& ctx) {
  ctx.expect_inputs(3);
  Dim rows = 1;
  bool known = true;
  for (int i = 0; i < 3; ++i) {
    const PartialShape& shape = ctx.input_shape(i);
    known &= shape.known_rank();
    if (shape.known_rank() && shape.rank() == 1) rows = shape[0];
  }
  const Dim splits = known && rows.known() ? Dim(rows.size() + 1) : ctx.fresh();
  ctx.set_output(0, splits_dtype(ctx.attrs()), PartialShape{splits});
  ctx.set_output(1, ctx.input_dtype(0), PartialShape{ctx.fresh()});
}

template <class C>
double range_size(C start, C limit, C delta) {
  if ((delta > 0 && limit < start) || (delta < 0 && limit > start)) return 0;
  if constexpr (std::is_integral_v<C>) {
    const auto distance = limit > start ? static_cast<std::uint64_t>(limit) - static_cast<std::uint64_t>(start)
                                        : static_cast<std::uint64_t>(start) - static_cast<std::uint64_t>(limit);
    const auto step = delta > 0 ? static_cast<std::uint64_t>(delta) : std::uint64_t{0} - static_cast<std::uint64_t>(delta);
    return static_cast<double>(distance / step + (distance % step != 0 ? 1 : 0));
  } else {
    return std::ceil(std::abs((static_cast<double>(limit) - start) / delta));
  }
}

void evaluate_ragged_range(EvalContext& ctx) {
  std::int64_t rows = 1;
  for (int i = 0; i < 3; ++i) {
    if (ctx.input(i).rank() > 1)
      ctx.fail_node("input {} must be a scalar or a vector, it is {}", i, ctx.input(i).describe());
    if (ctx.input(i).rank() == 1) rows = ctx.input(i).dim(0);
  }
  for (int i = 0; i < 3; ++i) {
    if (ctx.input(i).rank() == 1 && ctx.input(i).dim(0) != rows) ctx.fail_node("starts, limits and deltas differ in length");
  }
  std::vector<std::int64_t> splits{0};
  visit_dtype(
      TypeList<float, double, BFloat16, std::int32_t, std::int64_t>{}, ctx.input(0).dtype(), ctx.node().describe(),
      [&](auto tag) {
        using T = typename decltype(tag)::type;
        using C = ComputeType<T>;
        const auto at = [&](int i, std::int64_t row) {
          return static_cast<C>(ctx.input(i).flat<T>()[static_cast<std::size_t>(ctx.input(i).rank() == 0 ? 0 : row)]);
        };
        for (std::int64_t row = 0; row < rows; ++row) {
          if (at(2, row) == 0) ctx.fail_node("the delta of row {} is 0", row);
          const double size = range_size(at(0, row), at(1, row), at(2, row));
          if (!(size <= 1e12)) ctx.fail_node("row {} is too long", row);
          splits.push_back(splits.back() + static_cast<std::int64_t>(size));
        }
        Tensor& values = ctx.allocate(1, ctx.input(0).dtype(), Shape{splits.back()});
        T* to = values.flat<T>().data();
        for (std::int64_t row = 0; row < rows; ++row) {
          T value = static_cast<T>(at(0, row));
          for (std::int64_t k = splits[static_cast<std::size_t>(row)]; k < splits[static_cast<std::size_t>(row) + 1]; ++k) {
            *to++ = value;
            value = static_cast<T>(static_cast<C>(static_cast<C>(value) + at(2, row)));
          }
        }
      });
  ctx.set_output(0, index_tensor(splits_dtype(ctx.attrs()), splits));
}

// ragged_gather: row starts… (PARAMS_RAGGED_RANK), values, indices -> row starts… (OUTPUT_RAGGED_RANK), values.
void infer_ragged_gather(InferContext& ctx) {
  const int given = checked_count(ctx.attrs(), "PARAMS_RAGGED_RANK"),
            wanted = checked_count(ctx.attrs(), "OUTPUT_RAGGED_RANK");
  ctx.expect_inputs(given + 2);
  ctx.set_num_outputs(wanted + 1);
  for (int i = 0; i < wanted; ++i) ctx.set_output(i, splits_dtype(ctx.attrs()), PartialShape{ctx.fresh()});
  PartialShape values = ctx.input_shape(given);
  if (values.known_rank() && values.rank() > 0) values[0] = ctx.fresh();
  ctx.set_output(wanted, ctx.input_dtype(given), std::move(values));
}

void evaluate_ragged_gather(EvalContext& ctx) {
  const int given = checked_count(ctx.attrs(), "PARAMS_RAGGED_RANK"),
            wanted = checked_count(ctx.attrs(), "OUTPUT_RAGGED_RANK");
  const Tensor values = ctx.input(given), indices = ctx.input(given + 1);
  if (given < 1 || wanted != given + indices.rank() - 1)
    ctx.fail_node("OUTPUT_RAGGED_RANK is {} for {} ragged axes and {}", wanted, given, indices.describe());
  if (values.rank() < 1) ctx.fail_node("the values are {}", values.describe());
  std::vector<std::vector<std::int64_t>> splits;
  for (int i = 0; i < given; ++i) {
    splits.push_back(row_splits(ctx, i, i + 1 < given ? ctx.input(i + 1).num_elements() - 1 : values.dim(0)));
  }
  std::vector<std::vector<std::int64_t>> result(static_cast<std::size_t>(wanted), {0});
  std::int64_t rows = 1;
  for (int d = 0; d + 1 < indices.rank(); ++d) {  // the axes of the indices are regular
    rows *= indices.dim(d);
    for (std::int64_t row = 1; row <= rows; ++row) result[static_cast<std::size_t>(d)].push_back(row * indices.dim(d + 1));
  }
  std::vector<std::int64_t> picked;
  for (std::int64_t index : ctx.integers(given + 1)) {
    if (index < 0 || index + 1 >= static_cast<std::int64_t>(splits[0].size()))
      ctx.fail_node("index {} is outside [0, {})", index, splits[0].size() - 1);
    std::int64_t first = index, last = index + 1;
    for (int i = 0; i < given; ++i) {
      const auto& from = splits[static_cast<std::size_t>(i)];
      const int axis = indices.rank() - 1 + i;  // -1: a scalar index takes away the first axis
      for (std::int64_t row = first; row < last && axis >= 0; ++row) {
        auto& to = result[static_cast<std::size_t>(axis)];
        to.push_back(to.back() + from[static_cast<std::size_t>(row) + 1] - from[static_cast<std::size_t>(row)]);
      }
      first = from[static_cast<std::size_t>(first)];
      last = from[static_cast<std::size_t>(last)];
    }
    for (std::int64_t value = first; value < last; ++value) picked.push_back(value);
  }
  for (int i = 0; i < wanted; ++i)
    ctx.set_output(i, index_tensor(splits_dtype(ctx.attrs()), result[static_cast<std::size_t>(i)]));
  ctx.set_output(wanted, take(values, 0, picked));
}

// ragged_to_tensor: shape (-1: as large as needed), values, default value, then row partitions as row_partition_types names
// them: FIRST_DIM_SIZE (a scalar), VALUE_ROWIDS, ROW_SPLITS.
void infer_ragged_to_tensor(InferContext& ctx) {
  if (ctx.num_inputs() < 4) ctx.fail_node("has {} inputs, needs at least 4", ctx.num_inputs());
  const auto types = ctx.attrs().get<std::vector<std::string>>("row_partition_types");
  const auto ragged = std::ranges::count_if(types, [](const std::string& type) { return type != "FIRST_DIM_SIZE"; });
  const PartialShape& values = ctx.input_shape(1);
  if (!values.known_rank() || values.rank() < 1) return ctx.set_output(0, ctx.input_dtype(1), {});
  PartialShape shape = ctx.fresh_shape(static_cast<int>(ragged) + values.rank());
  const auto wanted = constant_elements(ctx, 0);
  for (int d = 0; d < shape.rank(); ++d) {
    if (d > ragged) shape[d] = values[d - static_cast<int>(ragged)];
    const bool listed = wanted && static_cast<int>(wanted->size()) == shape.rank() && ctx.constant(0)->rank() == 1;
    if (listed && (*wanted)[static_cast<std::size_t>(d)] >= 0) shape[d] = (*wanted)[static_cast<std::size_t>(d)];
  }
  ctx.set_output(0, ctx.input_dtype(1), std::move(shape));
}

// The row of each element on one ragged axis.
std::vector<std::int64_t> rows_of(const EvalContext& ctx, int i, const std::string& type) {
  expect_rank(ctx, i, 1);
  const std::vector<std::int64_t> partition = ctx.integers(i);
  if (!std::ranges::is_sorted(partition) || (!partition.empty() && partition[0] < 0))
    ctx.fail_node("input {} is no row partition", i);
  if (type == "VALUE_ROWIDS") return partition;
  if (type != "ROW_SPLITS") ctx.fail_node("row partition type \"{}\" is not supported", type);
  if (partition.empty() || partition[0] != 0 || partition.back() > std::int64_t{1} << 28)
    ctx.fail_node("input {} are no row starts", i);
  std::vector<std::int64_t> rows;
  for (std::size_t row = 0; row + 1 < partition.size(); ++row) {
    rows.insert(rows.end(), static_cast<std::size_t>(partition[row + 1] - partition[row]), static_cast<std::int64_t>(row));
  }
  return rows;
}

std::int64_t longest_row(const std::vector<std::int64_t>& rows) {
  std::int64_t longest = 0, run = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    run = i > 0 && rows[i] == rows[i - 1] ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  return longest;
}

// Where every element of the next axis lies in the result; -1 for one that is cut off or whose parent is.
std::vector<std::int64_t> place(const EvalContext& ctx, const std::vector<std::int64_t>& parents,
                                const std::vector<std::int64_t>& rows, std::int64_t size) {
  std::vector<std::int64_t> result(rows.size(), -1);
  std::int64_t position = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    position = i > 0 && rows[i] == rows[i - 1] ? position + 1 : 0;
    if (rows[i] >= static_cast<std::int64_t>(parents.size()))
      ctx.fail_node("row {} does not exist, there are {}", rows[i], parents.size());
    const std::int64_t parent = parents[static_cast<std::size_t>(rows[i])];
    if (parent >= 0 && position < size) result[i] = parent * size + position;
  }
  return result;
}

void evaluate_ragged_to_tensor(EvalContext& ctx) {
  const auto types = ctx.attrs().get<std::vector<std::string>>("row_partition_types");
  const Tensor values = ctx.input(1), fallback = ctx.input(2);
  if (types.empty() || ctx.num_inputs() != 3 + static_cast<int>(types.size()))
    ctx.fail_node("{} row partition types are given for {} inputs", types.size(), ctx.num_inputs());
  if (values.rank() < 1) ctx.fail_node("the values are {}", values.describe());
  std::size_t next = 0;
  std::int64_t first = 0;
  if (types[0] == "FIRST_DIM_SIZE") {
    first = ctx.integer(3);
    next = 1;
  } else {
    first = ctx.input(3).num_elements() - 1;
  }
  if (first < 0) ctx.fail_node("the first dimension is {}", first);
  std::vector<std::vector<std::int64_t>> levels;
  for (; next < types.size(); ++next) levels.push_back(rows_of(ctx, 3 + static_cast<int>(next), types[next]));
  const int ragged = static_cast<int>(levels.size());
  std::vector<std::int64_t> wanted(static_cast<std::size_t>(ragged + values.rank()), -1);
  if (ctx.input(0).rank() == 1) {
    wanted = ctx.integers(0);
    if (static_cast<int>(wanted.size()) != ragged + values.rank())
      ctx.fail_node("shape has {} sizes, {} are needed", wanted.size(), ragged + values.rank());
  }
  Shape shape{wanted[0] >= 0 ? wanted[0] : first};
  std::vector<std::int64_t> places(static_cast<std::size_t>(first));
  for (std::size_t i = 0; i < places.size(); ++i)
    places[i] = static_cast<std::int64_t>(i) < shape[0] ? static_cast<std::int64_t>(i) : -1;
  for (int level = 0; level < ragged; ++level) {
    const auto& rows = levels[static_cast<std::size_t>(level)];
    const std::int64_t size = wanted[static_cast<std::size_t>(level) + 1];
    shape.push_back(size >= 0 ? size : longest_row(rows));
    places = place(ctx, places, rows, shape[level + 1]);
  }
  Shape element;
  for (int d = 1; d < values.rank(); ++d) {
    element.push_back(values.dim(d));
    shape.push_back(values.dim(d));
    const std::int64_t size = wanted[static_cast<std::size_t>(ragged + d)];
    if (size >= 0 && size != values.dim(d)) ctx.fail_node("shape wants {} where the values have {}", size, values.dim(d));
  }
  if (places.size() > static_cast<std::size_t>(values.dim(0)))
    ctx.fail_node("the row partitions hold {} elements, the values {}", places.size(), values.dim(0));
  if (broadcast_shape(ctx, element, fallback.shape()) != element)
    ctx.fail_node("the default {} does not broadcast to {}", fallback.describe(), element.to_string());
  Tensor output(values.dtype(), shape);
  Walk from{0, std::vector<std::int64_t>(static_cast<std::size_t>(shape.rank()), 0)};
  const std::vector<std::int64_t> strides = row_major_strides(fallback.shape());
  for (int d = 0; d < fallback.rank(); ++d) {
    if (fallback.dim(d) != 1)
      from.strides[static_cast<std::size_t>(shape.rank() - fallback.rank() + d)] = strides[static_cast<std::size_t>(d)];
  }
  copy_walk(shape, output, {0, row_major_strides(shape)}, fallback, from);
  const std::int64_t inner = element.num_elements();
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] >= 0) copy_range(output, places[i] * inner, values, static_cast<std::int64_t>(i) * inner, inner);
  }
  ctx.set_output(0, std::move(output));
}

// ragged_to_sparse: row starts…, values -> indices, values, shape of a sparse tensor.
void infer_ragged_to_sparse(InferContext& ctx) {
  if (ctx.num_inputs() < 2) ctx.fail_node("has {} inputs, needs at least 2", ctx.num_inputs());
  const int ragged = ctx.num_inputs() - 1;
  const PartialShape& values = ctx.input_shape(ragged);
  const Dim count = values.num_elements()                       ? Dim(*values.num_elements())
                    : values.known_rank() && values.rank() == 1 ? values[0]
                                                                : ctx.fresh();
  const Dim rank = values.known_rank() ? Dim(ragged + values.rank()) : ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, rank});
  ctx.set_output(1, ctx.input_dtype(ragged), PartialShape{count});
  ctx.set_output(2, DataType::kInt64, PartialShape{rank});
}

void evaluate_ragged_to_sparse(EvalContext& ctx) {
  const int ragged = ctx.num_inputs() - 1;
  if (ragged < 1) ctx.fail_node("has no row partition");
  const Tensor values = ctx.input(ragged);
  if (values.rank() < 1) ctx.fail_node("the values are {}", values.describe());
  std::vector<std::vector<std::int64_t>> coordinates;  // of the elements of the level that was reached
  std::vector<std::int64_t> shape;
  for (int i = 0; i < ragged; ++i) {
    const std::int64_t limit = i + 1 < ragged ? ctx.input(i + 1).num_elements() - 1 : values.dim(0);
    const std::vector<std::int64_t> splits = row_splits(ctx, i, limit);
    if (splits.back() != limit) ctx.fail_node("input {} ends at {}, not at {}", i, splits.back(), limit);
    const auto rows = static_cast<std::int64_t>(splits.size()) - 1;
    if (i == 0) {
      shape.push_back(rows);
      for (std::int64_t row = 0; row < rows; ++row) coordinates.push_back({row});
    }
    std::vector<std::vector<std::int64_t>> next;
    std::int64_t widest = 0;
    for (std::size_t row = 0; row < coordinates.size(); ++row) {
      const std::int64_t width = splits[row + 1] - splits[row];
      widest = std::max(widest, width);
      for (std::int64_t k = 0; k < width; ++k) {
        next.push_back(coordinates[row]);
        next.back().push_back(k);
      }
    }
    shape.push_back(widest);
    coordinates = std::move(next);
  }
  const std::int64_t inner = product(values.shape(), 1, values.rank());
  for (int d = 1; d < values.rank(); ++d) shape.push_back(values.dim(d));
  const auto rank = static_cast<std::int64_t>(shape.size());
  Tensor indices(DataType::kInt64, Shape{values.num_elements(), rank});
  std::int64_t* to = indices.flat<std::int64_t>().data();
  for (const auto& head : coordinates) {
    for (std::int64_t i = 0; i < inner; ++i, to += rank) {
      std::ranges::copy(head, to);
      std::int64_t rest = i;
      for (int d = values.rank() - 1; d >= 1; --d) {
        to[ragged + d] = rest % values.dim(d);
        rest /= values.dim(d);
      }
    }
  }
  ctx.set_output(0, std::move(indices));
  ctx.set_output(1, values.reshaped(Shape{values.num_elements()}));
  ctx.set_output(2, index_tensor(DataType::kInt64, shape));
}

constexpr ir::OpDef kOps[] = {
    {"ragged_range", infer_ragged_range, evaluate_ragged_range},
    {"ragged_gather", infer_ragged_gather, evaluate_ragged_gather},
    {"ragged_to_tensor", infer_ragged_to_tensor, evaluate_ragged_to_tensor},
    {"ragged_to_sparse", infer_ragged_to_sparse, evaluate_ragged_to_sparse},
};

constexpr ImportRule kRules[] = {
    {"RaggedRange", "ragged_range"},
    {"RaggedGather", "ragged_gather"},
    {"RaggedTensorToTensor", "ragged_to_tensor"},
    {"RaggedTensorToSparse", "ragged_to_sparse"},
};

}  // namespace

const OpFamily& ragged_family() {
  static const OpFamily family{"ragged", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
