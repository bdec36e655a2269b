// Diagonals of matrices: building, taking, setting, and bands. Batches of matrices are the last two dimensions.
#include <algorithm>

#include "ops/elementwise.h"
#include "ops/registry.h"
#include "ops/storage.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// Diagonal numbers beyond this are refused before they are reckoned with; TensorFlow's are 32 bits wide.
constexpr std::int64_t kFarthest = std::int64_t{1} << 31;

// The diagonals lower … upper of rows x cols matrices, as they are packed into rows of `width` elements, the upper first.
struct Band {
  std::int64_t lower = 0, upper = 0, rows = 0, cols = 0, width = 0;
  bool right_super = false, right_sub = false;  // which diagonals end at the right edge of their packed row

  std::int64_t count() const { return upper - lower + 1; }
  std::int64_t length(std::int64_t d) const { return std::max<std::int64_t>(0, std::min(rows + std::min<std::int64_t>(d, 0), cols - std::max<std::int64_t>(d, 0))); }
  // Where diagonal d begins in its packed row.
  std::int64_t offset(std::int64_t d) const {
    const bool left = (d >= 0 && !right_super) || (d <= 0 && !right_sub);
    return left ? 0 : width - length(d);
  }
  // f(packed offset, matrix offset) for every element of the band.
  template <class F>
  void for_elements(F&& f) const {
    for (std::int64_t d = upper; d >= lower; --d) {
      const std::int64_t packed = (upper - d) * width + offset(d);
      const std::int64_t row = std::max<std::int64_t>(0, -d), col = std::max<std::int64_t>(0, d);
      for (std::int64_t i = 0; i < length(d); ++i) f(packed + i, (row + i) * cols + col + i);
    }
  }
};

void read_align(const ir::Attrs& attrs, Band& band) {
  const auto align = attrs.get_or<std::string>("align", "LEFT_LEFT");
  band.right_super = align == "RIGHT_LEFT" || align == "RIGHT_RIGHT";
  band.right_sub = align == "LEFT_RIGHT" || align == "RIGHT_RIGHT";
}

// k is one diagonal or the lowest and highest; the main diagonal when the op has no such operand.
void read_diagonals(const EvalContext& ctx, int operand, Band& band) {
  read_align(ctx.attrs(), band);
  if (operand >= ctx.num_inputs()) return;
  const auto k = ctx.integers(operand);
  if (k.empty() || k.size() > 2) ctx.fail_node("the diagonal index must have 1 or 2 elements, it has {}", k.size());
  band.lower = k[0];
  band.upper = k.back();
  if (band.lower > band.upper) ctx.fail_node("the lowest diagonal {} is above the highest {}", band.lower, band.upper);
  if (band.lower < -kFarthest || band.upper > kFarthest) ctx.fail_node("diagonals {} to {} lie too far out", band.lower, band.upper);
}

// Checks that the diagonals lie in the matrix; sets the width of packed rows.
void check_inside(const EvalContext& ctx, Band& band) {
  const auto inside = [&](std::int64_t d) { return (d > -band.rows && d < band.cols) || d == 0; };
  if (!inside(band.lower) || !inside(band.upper)) {
    ctx.fail_node("diagonals {} to {} do not lie in a matrix of {} by {}", band.lower, band.upper, band.rows, band.cols);
  }
  band.width = std::min(band.rows + std::min<std::int64_t>(band.upper, 0), band.cols - std::max<std::int64_t>(band.lower, 0));
}

Band band_of_matrix(const EvalContext& ctx, const Tensor& matrix, int k_operand) {
  if (matrix.rank() < 2) ctx.fail_node("the operand must have rank 2 at least, it is {}", matrix.describe());
  Band band;
  read_diagonals(ctx, k_operand, band);
  band.rows = matrix.dim(matrix.rank() - 2);
  band.cols = matrix.dim(matrix.rank() - 1);
  check_inside(ctx, band);
  return band;
}

// What fills places without an element: operand i, or zero.
template <class S>
S padding(const EvalContext& ctx, int i) {
  if (i >= ctx.num_inputs()) return S{};
  if (ctx.input(i).num_elements() != 1) ctx.fail_node("the padding value must be a scalar, it is {}", ctx.input(i).describe());
  return *stored<S>(ctx.input(i));
}

std::vector<std::int64_t> leading(const Tensor& t, int dropped) { return {t.shape().begin(), t.shape().end() - dropped}; }

std::int64_t product(const std::vector<std::int64_t>& dims) { return Shape(dims).num_elements(); }

// k as inference knows it.
std::optional<std::pair<std::int64_t, std::int64_t>> known_diagonals(InferContext& ctx, int operand) {
  if (operand >= ctx.num_inputs()) return std::pair<std::int64_t, std::int64_t>{0, 0};
  const auto k = ctx.constant_integers(operand);
  if (!k || k->empty() || k->size() > 2) return std::nullopt;
  if (k->front() < -kFarthest || k->back() > kFarthest) ctx.fail_node("diagonals {} to {} lie too far out", k->front(), k->back());
  return std::pair{(*k)[0], k->back()};
}

// Operands diagonal, k, rows, columns, padding; or the diagonal alone.
void infer_matrix_diag(InferContext& ctx) {
  ctx.expect_inputs(1, 5);
  const PartialShape& diagonal = ctx.input_shape(0);
  const auto k = known_diagonals(ctx, 1);
  PartialShape shape;
  if (diagonal.known_rank() && diagonal.rank() < 1) ctx.fail_node("the diagonal must have rank 1 at least");
  if (diagonal.known_rank() && k) {
    const int packed = k->first == k->second ? 1 : 2;
    if (diagonal.rank() < packed) ctx.fail_node("the diagonals must have rank {} at least", packed);
    shape = diagonal;
    for (int i = 0; i < packed; ++i) shape.dims().pop_back();
    const Dim width = diagonal.dims().back();
    for (int i = 0; i < 2; ++i) {
      Dim size = ctx.fresh();
      if (ctx.num_inputs() == 1) {
        size = width;
      } else if (const auto given = ctx.num_inputs() > 2 + i ? ctx.constant_integers(2 + i) : std::nullopt; given && given->size() == 1 && (*given)[0] >= 0) {
        size = (*given)[0];
      }
      shape.dims().push_back(size);
    }
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_matrix_diag(EvalContext& ctx) {
  const Tensor diagonal = ctx.input(0);
  Band band;
  read_diagonals(ctx, 1, band);
  const int packed = band.count() == 1 ? 1 : 2;
  if (diagonal.rank() < packed) ctx.fail_node("the diagonals must have rank {} at least, they are {}", packed, diagonal.describe());
  if (packed == 2 && diagonal.dim(diagonal.rank() - 2) != band.count()) {
    ctx.fail_node("{} diagonals are asked for, operand {} has others", band.count(), diagonal.describe());
  }
  const std::int64_t width = diagonal.dim(diagonal.rank() - 1);
  const std::int64_t least_rows = width - std::min<std::int64_t>(band.upper, 0), least_cols = width + std::max<std::int64_t>(band.lower, 0);
  band.rows = ctx.num_inputs() > 2 ? ctx.integer(2) : -1;
  band.cols = ctx.num_inputs() > 3 ? ctx.integer(3) : -1;
  if (band.rows == -1 && band.cols == -1) {
    band.rows = band.cols = std::max(least_rows, least_cols);
  } else if (band.rows == -1) {
    band.rows = least_rows;
  } else if (band.cols == -1) {
    band.cols = least_cols;
  }
  if (band.rows < least_rows || band.cols < least_cols || (band.rows != least_rows && band.cols != least_cols)) {
    ctx.fail_node("diagonals of length {} do not make a matrix of {} by {}", width, band.rows, band.cols);
  }
  check_inside(ctx, band);
  band.width = width;
  std::vector<std::int64_t> dims = leading(diagonal, packed);
  const std::int64_t batches = product(dims);
  dims.insert(dims.end(), {band.rows, band.cols});
  Tensor& out = ctx.allocate(0, diagonal.dtype(), Shape(std::move(dims)));
  visit_storage(diagonal.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    std::fill_n(stored<S>(out), out.num_elements(), padding<S>(ctx, 4));
    for (std::int64_t b = 0; b < batches; ++b) {
      const S* from = stored<S>(diagonal) + b * band.count() * width;
      S* to = stored<S>(out) + b * band.rows * band.cols;
      band.for_elements([&](std::int64_t at, std::int64_t place) { to[place] = from[at]; });
    }
  });
}

// Operands matrix, k, padding; or the matrix alone.
void infer_matrix_diag_part(InferContext& ctx) {
  ctx.expect_inputs(1, 3);
  const PartialShape& in = ctx.input_shape(0);
  const auto k = known_diagonals(ctx, 1);
  PartialShape shape;
  if (in.known_rank() && in.rank() < 2) ctx.fail_node("the operand must have rank 2 at least");
  if (in.known_rank() && k) {
    const Dim rows = in[in.rank() - 2], cols = in[in.rank() - 1];
    shape = in;
    shape.dims().resize(static_cast<std::size_t>(in.rank() - 2));
    if (k->first != k->second) shape.dims().push_back(std::max<std::int64_t>(0, k->second - k->first + 1));
    if (rows.known() && cols.known()) {
      const std::int64_t width = std::min(rows.size() + std::min<std::int64_t>(k->second, 0), cols.size() - std::max<std::int64_t>(k->first, 0));
      shape.dims().push_back(std::max<std::int64_t>(0, width));
    } else {
      shape.dims().push_back(ctx.fresh());
    }
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_matrix_diag_part(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Band band = band_of_matrix(ctx, in, 1);
  std::vector<std::int64_t> dims = leading(in, 2);
  const std::int64_t batches = product(dims);
  if (band.count() > 1) dims.push_back(band.count());
  dims.push_back(band.width);
  Tensor& out = ctx.allocate(0, in.dtype(), Shape(std::move(dims)));
  visit_storage(in.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    std::fill_n(stored<S>(out), out.num_elements(), padding<S>(ctx, 2));
    for (std::int64_t b = 0; b < batches; ++b) {
      const S* from = stored<S>(in) + b * band.rows * band.cols;
      S* to = stored<S>(out) + b * band.count() * band.width;
      band.for_elements([&](std::int64_t at, std::int64_t place) { to[at] = from[place]; });
    }
  });
}

void infer_matrix_set_diag(InferContext& ctx) {
  ctx.expect_inputs(2, 3);
  if (ctx.input_shape(0).known_rank() && ctx.input_shape(0).rank() < 2) ctx.fail_node("the operand must have rank 2 at least");
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

void evaluate_matrix_set_diag(EvalContext& ctx) {
  const Tensor diagonal = ctx.input(1);
  const Band band = band_of_matrix(ctx, ctx.input(0), 2);
  std::vector<std::int64_t> dims = leading(ctx.input(0), 2);
  const std::int64_t batches = product(dims);
  if (band.count() > 1) dims.push_back(band.count());
  dims.push_back(band.width);
  if (diagonal.shape() != Shape(dims) || diagonal.dtype() != ctx.input(0).dtype()) {
    ctx.fail_node("diagonals must have the shape {}, they are {}", Shape(dims).to_string(), diagonal.describe());
  }
  Tensor out = ctx.take_input(0);
  if (!out.sole_owner()) out = out.clone();
  visit_storage(out.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    for (std::int64_t b = 0; b < batches; ++b) {
      const S* from = stored<S>(diagonal) + b * band.count() * band.width;
      S* to = stored<S>(out) + b * band.rows * band.cols;
      band.for_elements([&](std::int64_t at, std::int64_t place) { to[place] = from[at]; });
    }
  });
  ctx.set_output(0, std::move(out));
}

void infer_band_part(InferContext& ctx) {
  ctx.expect_inputs(3);
  if (ctx.input_shape(0).known_rank() && ctx.input_shape(0).rank() < 2) ctx.fail_node("the operand must have rank 2 at least");
  ctx.set_output(0, dtype_or_attr(ctx, 0), ctx.input_shape(0));
}

// Operands matrix, subdiagonals and superdiagonals to keep (negative: all); the rest becomes zero.
void evaluate_band_part(EvalContext& ctx) {
  const std::int64_t below = ctx.integer(1), above = ctx.integer(2);
  for (int i = 1; i < 3; ++i) {
    if (ctx.input(i).rank() != 0) ctx.fail_node("operand {} must be a scalar, it is {}", i, ctx.input(i).describe());
  }
  if (ctx.input(0).rank() < 2) ctx.fail_node("the operand must have rank 2 at least, it is {}", ctx.input(0).describe());
  Tensor out = ctx.take_input(0);
  if (!out.sole_owner()) out = out.clone();
  const std::int64_t rows = out.dim(out.rank() - 2), cols = out.dim(out.rank() - 1);
  if ((below > rows && rows > 0) || (above > cols && cols > 0)) {
    ctx.fail_node("cannot keep {} diagonals below and {} above in {}", below, above, out.describe());
  }
  visit_storage(out.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    S* to = stored<S>(out);
    for (std::int64_t row = 0; row < (cols == 0 ? 0 : out.num_elements() / cols); ++row) {
      const std::int64_t r = row % rows;
      for (std::int64_t c = 0; c < cols; ++c) {
        const bool kept = (below < 0 || r - c <= below) && (above < 0 || c - r <= above);
        if (!kept) to[row * cols + c] = S{};
      }
    }
  });
  ctx.set_output(0, std::move(out));
}

// A tensor of rank 2r with the operand, of rank r, on its diagonal.
void infer_diag(InferContext& ctx) {
  ctx.expect_inputs(1);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank()) {
    const std::vector<Dim> dims = shape.dims();
    shape.dims().insert(shape.dims().end(), dims.begin(), dims.end());
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_diag(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  if (in.rank() == 0) ctx.fail_node("the operand must have rank 1 at least");
  std::vector<std::int64_t> dims = in.shape().dims();
  dims.insert(dims.end(), in.shape().begin(), in.shape().end());
  Tensor& out = ctx.allocate(0, in.dtype(), Shape(std::move(dims)));
  const std::int64_t count = in.num_elements();
  visit_storage(in.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    std::fill_n(stored<S>(out), out.num_elements(), S{});
    for (std::int64_t i = 0; i < count; ++i) stored<S>(out)[i * (count + 1)] = stored<S>(in)[i];
  });
}

void infer_diag_part(InferContext& ctx) {
  ctx.expect_inputs(1);
  const PartialShape& in = ctx.input_shape(0);
  PartialShape shape;
  if (in.known_rank()) {
    if (in.rank() % 2 != 0) ctx.fail_node("the rank must be even, the shape is {}", in.to_string());
    const int half = in.rank() / 2;
    const PartialShape first(std::vector<Dim>(in.dims().begin(), in.dims().begin() + half));
    shape = merge_shapes(ctx, first, PartialShape(std::vector<Dim>(in.dims().begin() + half, in.dims().end())));
  }
  ctx.set_output(0, dtype_or_attr(ctx, 0), shape);
}

void evaluate_diag_part(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const int half = in.rank() / 2;
  const Shape shape(std::vector<std::int64_t>(in.shape().begin(), in.shape().begin() + half));
  if (in.rank() % 2 != 0 || in.rank() == 0 || !std::equal(shape.begin(), shape.end(), in.shape().begin() + half)) {
    ctx.fail_node("the shape must repeat itself once, the operand is {}", in.describe());
  }
  Tensor& out = ctx.allocate(0, in.dtype(), shape);
  const std::int64_t count = out.num_elements();
  visit_storage(in.dtype(), [&](auto tag) {
    using S = typename decltype(tag)::type;
    for (std::int64_t i = 0; i < count; ++i) stored<S>(out)[i] = stored<S>(in)[i * (count + 1)];
  });
}

void align_left(ir::Attrs& attrs) { attrs.set("align", std::string("LEFT_LEFT")); }

constexpr ir::OpDef kOps[] = {
    {"matrix_diag", infer_matrix_diag, evaluate_matrix_diag},
    {"matrix_diag_part", infer_matrix_diag_part, evaluate_matrix_diag_part},
    {"matrix_set_diag", infer_matrix_set_diag, evaluate_matrix_set_diag},
    {"matrix_band_part", infer_band_part, evaluate_band_part},
    {"diag", infer_diag, evaluate_diag},
    {"diag_part", infer_diag_part, evaluate_diag_part},
};

constexpr ImportRule kRules[] = {
    {"MatrixDiag", "matrix_diag", align_left},
    {"MatrixDiagV2", "matrix_diag", align_left},
    {"MatrixDiagV3", "matrix_diag"},
    {"BatchMatrixDiag", "matrix_diag", align_left},
    {"MatrixDiagPart", "matrix_diag_part", align_left},
    {"MatrixDiagPartV2", "matrix_diag_part", align_left},
    {"MatrixDiagPartV3", "matrix_diag_part"},
    {"BatchMatrixDiagPart", "matrix_diag_part", align_left},
    {"MatrixSetDiag", "matrix_set_diag", align_left},
    {"MatrixSetDiagV2", "matrix_set_diag", align_left},
    {"MatrixSetDiagV3", "matrix_set_diag"},
    {"BatchMatrixSetDiag", "matrix_set_diag", align_left},
    {"MatrixBandPart", "matrix_band_part"},
    {"BatchMatrixBandPart", "matrix_band_part"},
    {"Diag", "diag"},
    {"DiagPart", "diag_part"},
};

}  // namespace

const OpFamily& diag_family() {
  static const OpFamily family{"diag", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
