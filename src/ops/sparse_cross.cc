// Feature crosses: every combination of one value per column, as a string or as a hash, row by row.
#include <farmhash.h>

#include <algorithm>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// The values of one column by row; operands are sparse (values in row order) or dense matrices.
struct Column {
  const Tensor* values = nullptr;
  std::vector<std::int64_t> first;  // of each row, and one past the last

  std::int64_t count(std::int64_t row) const {
    return first[static_cast<std::size_t>(row) + 1] - first[static_cast<std::size_t>(row)];
  }
  std::size_t at(std::int64_t row, std::int64_t i) const { return static_cast<std::size_t>(first[static_cast<std::size_t>(row)] + i); }
};

void infer_cross(InferContext& ctx) {
  const Dim count = ctx.fresh();
  ctx.set_output(0, DataType::kInt64, PartialShape{count, 2});
  ctx.set_output(1, ctx.attrs().get<DataType>("out_type"), PartialShape{count});
  ctx.set_output(2, DataType::kInt64, Shape{2});
}

void check_type(const EvalContext& ctx, const Tensor& values) {
  const bool strings_only = ctx.attrs().get_or<DataType>("internal_type", DataType::kInt64) == DataType::kString;
  if (values.dtype() != DataType::kString && (strings_only || values.dtype() != DataType::kInt64)) {
    ctx.fail_node("columns hold {}strings, one is {}", strings_only ? "" : "int64 or ", values.describe());
  }
}

Column sparse_column(const EvalContext& ctx, const Tensor& indices, const Tensor& values, std::int64_t rows) {
  check_type(ctx, values);
  if (indices.rank() != 2 || indices.dim(1) != 2 || indices.dtype() != DataType::kInt64 || values.rank() != 1 ||
      values.dim(0) != indices.dim(0)) {
    ctx.fail_node("a sparse column has indices {} and values {}", indices.describe(), values.describe());
  }
  Column column{&values, std::vector<std::int64_t>(static_cast<std::size_t>(rows) + 1, 0)};
  const auto flat = indices.flat<std::int64_t>();
  std::int64_t before = 0;
  for (std::int64_t i = 0; i < indices.dim(0); ++i) {
    const std::int64_t row = flat[static_cast<std::size_t>(2 * i)];
    if (row < before || row >= rows) ctx.fail_node("indices of a sparse column name row {} after {} of {}", row, before, rows);
    before = row;
    ++column.first[static_cast<std::size_t>(row) + 1];
  }
  for (std::size_t r = 1; r < column.first.size(); ++r) column.first[r] += column.first[r - 1];
  return column;
}

Column dense_column(const EvalContext& ctx, const Tensor& values, std::int64_t rows) {
  check_type(ctx, values);
  if (values.rank() != 2 || values.dim(0) != rows) ctx.fail_node("a dense column is {}, {} rows are needed", values.describe(), rows);
  Column column{&values, {}};
  for (std::int64_t r = 0; r <= rows; ++r) column.first.push_back(r * values.dim(1));
  return column;
}

// N indices, the sparse columns' values, N shapes, the dense columns.
std::vector<Column> columns_of(const EvalContext& ctx, std::int64_t& rows) {
  const auto count = ctx.attrs().get_or<std::int64_t>("N", 0);
  if (count < 0 || 3 * count > ctx.num_inputs()) ctx.fail_node("N is {}, there are {} inputs", count, ctx.num_inputs());
  const int sparse = static_cast<int>(count), dense = ctx.num_inputs() - 3 * sparse;
  if (sparse + dense == 0) ctx.fail_node("has no columns");
  rows = -1;
  for (int i = 0; i < sparse; ++i) {
    const std::vector<std::int64_t> shape = ctx.integers(2 * sparse + i);
    if (shape.size() != 2 || shape[0] < 0 || shape[0] > std::int64_t{1} << 40 || (rows >= 0 && shape[0] != rows)) {
      ctx.fail_node("the shape of sparse column {} does not fit", i);
    }
    rows = shape[0];
  }
  if (sparse == 0 && ctx.input(0).rank() == 2) rows = ctx.input(0).dim(0);
  if (rows < 0) ctx.fail_node("a dense column is {}", ctx.input(0).describe());
  std::vector<Column> columns;
  for (int i = 0; i < sparse; ++i) columns.push_back(sparse_column(ctx, ctx.input(i), ctx.input(sparse + i), rows));
  for (int i = 0; i < dense; ++i) columns.push_back(dense_column(ctx, ctx.input(3 * sparse + i), rows));
  return columns;
}

// How two fingerprints make one, as FarmHash's users in TensorFlow do it.
std::uint64_t join_fingerprints(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMultiplier = 0xc6a4a7935bd1e995u;
  const auto mix = [](std::uint64_t v) { return v ^ v >> 47; };
  const std::uint64_t joined = ((a ^ kMultiplier) ^ mix(b * kMultiplier) * kMultiplier) * kMultiplier;
  return mix(mix(joined) * kMultiplier);
}

class Crosser {
 public:
  explicit Crosser(const EvalContext& ctx)
      : key_(static_cast<std::uint64_t>(ctx.attrs().get<std::int64_t>("hash_key"))),
        buckets_(ctx.attrs().get<std::int64_t>("num_buckets")) {
    if (buckets_ < 0) ctx.fail_node("num_buckets is {}", buckets_);
  }

  std::int64_t hash(const std::vector<Column>& columns, const std::vector<std::int64_t>& pick, std::int64_t row) const {
    std::uint64_t joined = key_;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::size_t at = columns[c].at(row, pick[c]);
      const Tensor& values = *columns[c].values;
      std::uint64_t own = 0;
      if (values.dtype() == DataType::kString) {
        const std::string& text = values.flat<std::string>()[at];
        own = util::Fingerprint64(text.data(), text.size());
      } else {
        own = static_cast<std::uint64_t>(values.flat<std::int64_t>()[at]);
      }
      joined = join_fingerprints(joined, own);
    }
    if (buckets_ > 0) return static_cast<std::int64_t>(joined % static_cast<std::uint64_t>(buckets_));
    return static_cast<std::int64_t>(joined % static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  }

  static std::string text(const std::vector<Column>& columns, const std::vector<std::int64_t>& pick, std::int64_t row) {
    std::string joined;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::size_t at = columns[c].at(row, pick[c]);
      const Tensor& values = *columns[c].values;
      if (c > 0) joined += "_X_";
      joined += values.dtype() == DataType::kString ? values.flat<std::string>()[at] : std::to_string(values.flat<std::int64_t>()[at]);
    }
    return joined;
  }

 private:
  std::uint64_t key_;
  std::int64_t buckets_;
};

// Calls see(pick) for every combination of a row, the last column's values changing fastest.
template <class See>
std::int64_t each_combination(const std::vector<Column>& columns, std::int64_t row, See&& see) {
  for (const Column& column : columns) {
    if (column.count(row) == 0) return 0;
  }
  std::vector<std::int64_t> pick(columns.size(), 0);
  for (std::int64_t made = 1;; ++made) {
    see(pick);
    std::size_t c = columns.size();
    while (c > 0 && ++pick[c - 1] == columns[c - 1].count(row)) pick[--c] = 0;
    if (c == 0) return made;
  }
}

void evaluate_cross(EvalContext& ctx) {
  std::int64_t rows = 0;
  const std::vector<Column> columns = columns_of(ctx, rows);
  const bool hashed = ctx.attrs().get<bool>("hashed_output");
  const auto type = ctx.attrs().get<DataType>("out_type");
  if (type != (hashed ? DataType::kInt64 : DataType::kString)) ctx.fail_node("out_type {} does not go with hashed_output", dtype_name(type));
  const Crosser crosser(ctx);
  std::vector<std::int64_t> indices, hashes;
  std::vector<std::string> texts;
  std::int64_t longest = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t place = 0;
    each_combination(columns, row, [&](const std::vector<std::int64_t>& pick) {
      indices.insert(indices.end(), {row, place++});
      if (hashed) {
        hashes.push_back(crosser.hash(columns, pick, row));
      } else {
        texts.push_back(Crosser::text(columns, pick, row));
      }
    });
    longest = std::max(longest, place);
  }
  ctx.set_output(0, Tensor::vector<std::int64_t>(indices).reshaped({static_cast<std::int64_t>(indices.size()) / 2, 2}));
  ctx.set_output(1, hashed ? Tensor::vector<std::int64_t>(hashes) : Tensor::vector<std::string>(texts));
  ctx.set_output(2, Tensor::vector<std::int64_t>(std::vector<std::int64_t>{rows, longest}));
}

constexpr ir::OpDef kOps[] = {
    {"sparse_cross", infer_cross, evaluate_cross},
};

constexpr ImportRule kRules[] = {
    {"SparseCross", "sparse_cross"},
};

}  // namespace

const OpFamily& sparse_cross_family() {
  static const OpFamily family{"sparse_cross", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
