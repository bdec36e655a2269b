// Matrix products, batched and broadcast.
#include "ops/matmul.h"

#include "ops/elementwise.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// How an op's operands are turned before they are multiplied. Adjoints also conjugate.
struct Turns {
  bool transpose_a, transpose_b, adjoint;
};

Turns turns_of(const ir::Attrs& attrs) {
  const bool adjoint_a = attrs.get_or<bool>("adj_x", false), adjoint_b = attrs.get_or<bool>("adj_y", false);
  return {attrs.get_or<bool>("transpose_a", false) || adjoint_a, attrs.get_or<bool>("transpose_b", false) || adjoint_b,
          adjoint_a || adjoint_b};
}

PartialShape batch_dims(const PartialShape& shape) {
  if (!shape.known_rank()) return {};
  return PartialShape(std::vector<Dim>(shape.dims().begin(), shape.dims().end() - 2));
}

void infer_matmul(InferContext& ctx) {
  ctx.expect_inputs(2);
  const Turns turns = turns_of(ctx.attrs());
  const PartialShape& a = ctx.input_shape(0);
  const PartialShape& b = ctx.input_shape(1);
  for (const PartialShape* shape : {&a, &b}) {
    if (shape->known_rank() && shape->rank() < 2) ctx.fail_node("operands must have rank 2 at least, one is {}", shape->to_string());
  }
  const DataType dtype = ctx.attrs().get_or<DataType>("Tout", dtype_or_attr(ctx, 0));
  if (!a.known_rank() || !b.known_rank()) {
    ctx.set_output(0, dtype, {});
    return;
  }
  const auto row_of = [](const PartialShape& s, bool transposed) { return s[s.rank() - (transposed ? 1 : 2)]; };
  const Dim inner_a = row_of(a, !turns.transpose_a), inner_b = row_of(b, turns.transpose_b);
  if (inner_a.known() && inner_b.known() && inner_a != inner_b) {
    ctx.fail_node("cannot multiply {}{} by {}{}: {} columns meet {} rows", a.to_string(), turns.transpose_a ? " transposed" : "",
                  b.to_string(), turns.transpose_b ? " transposed" : "", inner_a.size(), inner_b.size());
  }
  PartialShape shape = broadcast_shapes(ctx, batch_dims(a), batch_dims(b));
  shape.dims().push_back(row_of(a, turns.transpose_a));
  shape.dims().push_back(row_of(b, !turns.transpose_b));
  ctx.set_output(0, dtype, shape);
}

// The matrix (rows x cols) laid out by rows as the type that products are summed in.
template <class From, class To>
void gather_matrix(const From* from, std::int64_t rows, std::int64_t cols, bool transposed, bool conjugated, To* to) {
  const auto one = [&](From v) {
    if constexpr (kIsComplex<From>) {
      if (conjugated) v = std::conj(v);
    }
    return static_cast<To>(v);
  };
  if (!transposed) {
    for (std::int64_t i = 0; i < rows * cols; ++i) to[i] = one(from[i]);
    return;
  }
  constexpr std::int64_t kBlock = 16;  // keeps both sides of the transposition in cache
  for (std::int64_t i0 = 0; i0 < rows; i0 += kBlock) {
    for (std::int64_t j = 0; j < cols; ++j) {
      for (std::int64_t i = i0; i < std::min(i0 + kBlock, rows); ++i) to[i * cols + j] = one(from[j * rows + i]);
    }
  }
}

struct Product {
  std::int64_t m, n, k;
  Turns turns;
};

// One operand's matrices, gathered when they do not lie as the kernel wants them.
template <class From, class To>
class Matrices {
 public:
  Matrices(const From* data, std::int64_t rows, std::int64_t cols, bool transposed, bool conjugated)
      : data_(data), rows_(rows), cols_(cols), transposed_(transposed), conjugated_(conjugated && kIsComplex<From>) {}

  // Valid until the next call.
  const To* at(std::int64_t batch) {
    const From* matrix = data_ + batch * rows_ * cols_;
    if constexpr (std::is_same_v<From, To>) {
      if (!transposed_ && !conjugated_) return matrix;
    }
    if (batch != gathered_) {
      buffer_.resize(static_cast<std::size_t>(rows_ * cols_));
      gather_matrix(matrix, rows_, cols_, transposed_, conjugated_, buffer_.data());
      gathered_ = batch;
    }
    return buffer_.data();
  }

 private:
  const From* data_;
  std::int64_t rows_, cols_;
  bool transposed_, conjugated_;
  std::int64_t gathered_ = -1;
  std::vector<To> buffer_;
};

template <class A, class B, class R>
void multiply(EvalContext& ctx, const Broadcast<2>& batches, const Product& p, const Tensor& a, const Tensor& b, Tensor& out) {
  using C = std::conditional_t<kIsHalf<R>, float, R>;
  const bool conj_a = p.turns.adjoint && p.turns.transpose_a, conj_b = p.turns.adjoint && p.turns.transpose_b;
  Matrices<A, C> left(a.flat<A>().data(), p.m, p.k, p.turns.transpose_a, conj_a);
  Matrices<B, C> right(b.flat<B>().data(), p.k, p.n, p.turns.transpose_b, conj_b);
  R* result = out.flat<R>().data();
  std::vector<C> sums(kIsHalf<R> ? static_cast<std::size_t>(p.m * p.n) : 0);
  const std::int64_t step_a = batches.strides[0].back(), step_b = batches.strides[1].back();
  for_rows<2>(batches, nullptr, 1, [&](std::int64_t at, const std::array<std::int64_t, 2>& offsets, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const C* x = left.at(offsets[0] + i * step_a);
      const C* y = right.at(offsets[1] + i * step_b);
      R* z = result + (at + i) * p.m * p.n;
      if constexpr (kIsHalf<R>) {
        multiply_matrices(ctx.team(), x, y, sums.data(), p.m, p.n, p.k);
        for (std::int64_t e = 0; e < p.m * p.n; ++e) z[e] = static_cast<R>(sums[static_cast<std::size_t>(e)]);
      } else {
        multiply_matrices(ctx.team(), x, y, z, p.m, p.n, p.k);
      }
    }
  });
}

using MatmulTypes = Join<Floats, TypeList<std::int16_t, std::int32_t, std::int64_t>, Complexes>;
using ByteTypes = TypeList<std::int8_t, std::uint8_t>;

// BatchMatMulV3 also multiplies bytes into int32 and mixes them with bfloat16; SparseMatMul mixes bfloat16 and float.
void multiply_mixed(EvalContext& ctx, const Broadcast<2>& batches, const Product& p, const Tensor& a, const Tensor& b, Tensor& out) {
  const std::string who = ctx.node().describe();
  if (out.dtype() == DataType::kInt32) {
    visit_dtype(ByteTypes{}, a.dtype(), who, [&](auto ta) {
      visit_dtype(ByteTypes{}, b.dtype(), who, [&](auto tb) {
        multiply<typename decltype(ta)::type, typename decltype(tb)::type, std::int32_t>(ctx, batches, p, a, b, out);
      });
    });
  } else if (out.dtype() == DataType::kFloat32) {
    using Operands = TypeList<float, BFloat16>;
    visit_dtype(Operands{}, a.dtype(), who, [&](auto ta) {
      visit_dtype(Operands{}, b.dtype(), who, [&](auto tb) {
        multiply<typename decltype(ta)::type, typename decltype(tb)::type, float>(ctx, batches, p, a, b, out);
      });
    });
  } else if (out.dtype() == DataType::kBFloat16 && a.dtype() == DataType::kBFloat16) {
    visit_dtype(ByteTypes{}, b.dtype(), who,
                [&](auto tb) { multiply<BFloat16, typename decltype(tb)::type, BFloat16>(ctx, batches, p, a, b, out); });
  } else if (out.dtype() == DataType::kBFloat16 && b.dtype() == DataType::kBFloat16) {
    visit_dtype(ByteTypes{}, a.dtype(), who,
                [&](auto ta) { multiply<typename decltype(ta)::type, BFloat16, BFloat16>(ctx, batches, p, a, b, out); });
  } else {
    ctx.fail_node("cannot multiply {} by {} into {}", a.describe(), b.describe(), dtype_name(out.dtype()));
  }
}

void evaluate_matmul(EvalContext& ctx) {
  const Tensor a = ctx.input(0), b = ctx.input(1);
  const Turns turns = turns_of(ctx.attrs());
  if (a.rank() < 2 || b.rank() < 2) ctx.fail_node("cannot multiply {} by {}", a.describe(), b.describe());
  const auto outer = [](const Tensor& t, bool transposed) { return t.dim(t.rank() - (transposed ? 1 : 2)); };
  const Product p{outer(a, turns.transpose_a), outer(b, !turns.transpose_b), outer(a, !turns.transpose_a), turns};
  if (outer(b, turns.transpose_b) != p.k) {
    ctx.fail_node("cannot multiply {} by {}: {} columns meet {} rows", a.describe(), b.describe(), p.k, outer(b, turns.transpose_b));
  }
  const Shape batch_a(std::vector<std::int64_t>(a.shape().begin(), a.shape().end() - 2));
  const Shape batch_b(std::vector<std::int64_t>(b.shape().begin(), b.shape().end() - 2));
  const auto batches = plan_broadcast<2>(ctx, {&batch_a, &batch_b});
  Shape shape = batches.shape;
  shape.push_back(p.m);
  shape.push_back(p.n);
  Tensor& out = ctx.allocate(0, ctx.attrs().get_or<DataType>("Tout", a.dtype()), shape);
  if (out.num_elements() == 0) return;
  if (a.dtype() != b.dtype() || out.dtype() != a.dtype()) return multiply_mixed(ctx, batches, p, a, b, out);
  visit_dtype(MatmulTypes{}, a.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    multiply<T, T, T>(ctx, batches, p, a, b, out);
  });
}

void float_result(ir::Attrs& attrs) { attrs.set("Tout", DataType::kFloat32); }

constexpr ir::OpDef kOps[] = {
    {"matmul", infer_matmul, evaluate_matmul},
};

constexpr ImportRule kRules[] = {
    {"MatMul", "matmul"},
    {"BatchMatMul", "matmul"},
    {"BatchMatMulV2", "matmul"},
    {"BatchMatMulV3", "matmul"},
    {"SparseMatMul", "matmul", float_result},  // the operands are dense; they only may hold many zeros
};

}  // namespace

const OpFamily& matmul_family() {
  static const OpFamily family{"matmul", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
