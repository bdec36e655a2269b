// Fused matmul, layer normalisation, attention, affine, element-wise programs and stand-alone activations: types and reference.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/elementwise_program.h"
#include "ops/fused.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

void check_float(InferContext& ctx) {
  for (int i = 0; i < ctx.num_inputs(); ++i) {
    const DataType dtype = ctx.input_dtype(i);
    if (dtype != DataType::kFloat32 && dtype != DataType::kInvalid) {
      ctx.fail_node("input {} is {}, float32 is needed", i, dtype_name(dtype));
    }
  }
}

PartialShape leading(const PartialShape& shape, int drop) {
  return PartialShape(std::vector<Dim>(shape.dims().begin(), shape.dims().end() - drop));
}

void infer_matmul(InferContext& ctx) {
  const MatMulAttrs attrs = MatMulAttrs::parse(ctx.attrs());
  ctx.expect_inputs(2 + attrs.epilogue.num_operands());
  check_float(ctx);
  const PartialShape& a = ctx.input_shape(0);
  const PartialShape& b = ctx.input_shape(1);
  if (!a.known_rank() || !b.known_rank()) return ctx.set_output(0, DataType::kFloat32, {});
  if (a.rank() < 2 || b.rank() < 2) ctx.fail_node("operands {} and {} need two dims", a.to_string(), b.to_string());
  const Dim m = a[a.rank() - (attrs.transpose_a ? 1 : 2)], k = a[a.rank() - (attrs.transpose_a ? 2 : 1)];
  const Dim kb = b[b.rank() - (attrs.transpose_b ? 1 : 2)], n = b[b.rank() - (attrs.transpose_b ? 2 : 1)];
  if (k.known() && kb.known() && k != kb) ctx.fail_node("{} and {} do not multiply", a.to_string(), b.to_string());
  PartialShape result = broadcast_shapes(ctx, leading(a, 2), leading(b, 2));
  result.dims().push_back(m);
  result.dims().push_back(n);
  ctx.set_output(0, DataType::kFloat32, result);
}

// Offset of each batch of an operand, in matrices, for the batches of the result in order.
std::vector<std::int64_t> batch_offsets(const Shape& operand, const std::vector<std::int64_t>& batch) {
  std::int64_t count = 1;
  for (const std::int64_t d : batch) count *= d;
  std::vector<std::int64_t> offsets(at(count), 0);
  const int missing = static_cast<int>(batch.size()) - (operand.rank() - 2);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t rest = i, stride = 1;
    for (int d = static_cast<int>(batch.size()) - 1; d >= missing; --d) {
      const std::int64_t size = operand[d - missing];
      offsets[at(i)] += size == 1 ? 0 : rest % batch[at(d)] * stride;
      rest /= batch[at(d)];
      stride *= size;
    }
  }
  return offsets;
}

std::vector<std::int64_t> broadcast(EvalContext& ctx, std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  std::vector<std::int64_t> result(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const std::size_t back = result.size() - i;
    const std::int64_t da = back > a.size() ? 1 : a[a.size() - back];
    const std::int64_t db = back > b.size() ? 1 : b[b.size() - back];
    if (da != db && da != 1 && db != 1) ctx.fail_node("sizes {} and {} do not broadcast", da, db);
    result[i] = da == 1 ? db : da;
  }
  return result;
}

std::span<const std::int64_t> batch_of(const Tensor& tensor) {
  return std::span(tensor.shape().dims()).first(at(tensor.rank() - 2));
}

void evaluate_matmul(EvalContext& ctx) {
  const MatMulAttrs attrs = MatMulAttrs::parse(ctx.attrs());
  const Epilogue& epilogue = attrs.epilogue;
  const Tensor& a = ctx.input(0);
  const Tensor& b = ctx.input(1);
  if (a.rank() < 2 || b.rank() < 2) ctx.fail_node("operands {} and {} need two dims", a.describe(), b.describe());
  const std::int64_t m = a.dim(a.rank() - (attrs.transpose_a ? 1 : 2)), k = a.dim(a.rank() - (attrs.transpose_a ? 2 : 1));
  const std::int64_t kb = b.dim(b.rank() - (attrs.transpose_b ? 1 : 2)), n = b.dim(b.rank() - (attrs.transpose_b ? 2 : 1));
  if (k != kb) ctx.fail_node("{} and {} do not multiply", a.describe(), b.describe());
  std::vector<std::int64_t> shape = broadcast(ctx, batch_of(a), batch_of(b));
  const auto offsets_a = batch_offsets(a.shape(), shape), offsets_b = batch_offsets(b.shape(), shape);
  shape.push_back(m);
  shape.push_back(n);
  Tensor& result = ctx.allocate(0, DataType::kFloat32, Shape(shape));
  std::span<const float> bias, residual;
  if (epilogue.has_bias) bias = ctx.input(2).flat<float>();
  if (epilogue.residual != Residual::kNone) residual = ctx.input(2 + epilogue.num_operands() - 1).flat<float>();
  if (epilogue.has_bias && static_cast<std::int64_t>(bias.size()) != n) ctx.fail_node("the bias has {} elements, not {}", bias.size(), n);
  if (epilogue.residual != Residual::kNone && residual.size() != at(result.num_elements())) {
    ctx.fail_node("the residual has {} elements, the result is {}", residual.size(), result.describe());
  }
  const float* pa = a.flat<float>().data();
  const float* pb = b.flat<float>().data();
  float* y = result.flat<float>().data();
  for (std::size_t batch = 0; batch < offsets_a.size(); ++batch) {
    const float* ma = pa + offsets_a[batch] * m * k;
    const float* mb = pb + offsets_b[batch] * k * n;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::int64_t l = 0; l < k; ++l) {
          sum += double{ma[attrs.transpose_a ? l * m + i : i * k + l]} * mb[attrs.transpose_b ? j * k + l : l * n + j];
        }
        const std::size_t out = batch * at(m * n) + at(i * n + j);
        y[out] = epilogue.apply(static_cast<float>(sum), bias.empty() ? 0 : bias[at(j)], residual.empty() ? 0 : residual[out]);
      }
    }
  }
}

void infer_layer_norm(InferContext& ctx) {
  const LayerNormAttrs attrs = LayerNormAttrs::parse(ctx.attrs());
  ctx.expect_inputs(attrs.has_residual ? 4 : 3);
  check_float(ctx);
  const PartialShape& x = ctx.input_shape(0);
  if (x.known_rank() && x.rank() < attrs.axes_count) ctx.fail_node("input {} has too few dims", x.to_string());
  ctx.set_output(0, DataType::kFloat32, x);
}

// Reads an operand that broadcasts over the last dims of another shape.
class Broadcast {
 public:
  Broadcast(EvalContext& ctx, const Tensor& tensor, const Shape& over) : data_(tensor.flat<float>()), strides_(at(over.rank()), 0) {
    const int missing = over.rank() - tensor.rank();
    if (missing < 0) ctx.fail_node("operand {} has more dims than {}", tensor.describe(), over.to_string());
    std::int64_t stride = 1;
    for (int d = over.rank() - 1; d >= missing; --d) {
      const std::int64_t size = tensor.dim(d - missing);
      if (size != 1 && size != over[d]) ctx.fail_node("operand {} does not broadcast to {}", tensor.describe(), over.to_string());
      strides_[at(d)] = size == 1 ? 0 : stride;
      stride *= size;
    }
    sizes_ = over.dims();
  }
  float operator[](std::int64_t index) const {
    std::int64_t offset = 0;
    for (std::size_t d = sizes_.size(); d-- > 0;) {
      offset += index % sizes_[d] * strides_[d];
      index /= sizes_[d];
    }
    return data_[at(offset)];
  }

 private:
  std::span<const float> data_;
  std::vector<std::int64_t> strides_, sizes_;
};

void evaluate_layer_norm(EvalContext& ctx) {
  const LayerNormAttrs attrs = LayerNormAttrs::parse(ctx.attrs());
  const Tensor& input = ctx.input(0);
  if (input.rank() < attrs.axes_count) ctx.fail_node("input {} has too few dims", input.describe());
  Shape inner;
  for (int d = input.rank() - attrs.axes_count; d < input.rank(); ++d) inner.push_back(input.dim(d));
  const Broadcast gamma(ctx, ctx.input(1), inner), beta(ctx, ctx.input(2), inner);
  Tensor& result = ctx.allocate(0, DataType::kFloat32, input.shape());
  const auto x = input.flat<float>();
  auto y = result.flat<float>();
  std::copy(x.begin(), x.end(), y.begin());
  if (attrs.has_residual) {
    const auto residual = ctx.input(3).flat<float>();
    if (residual.size() != x.size()) ctx.fail_node("the residual is {}, the input {}", ctx.input(3).describe(), input.describe());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] += residual[i];
  }
  const std::int64_t count = inner.num_elements();
  for (std::int64_t row = 0; count > 0 && row < input.num_elements() / count; ++row) {
    float* v = y.data() + row * count;
    double mean = 0, variance = 0;
    for (std::int64_t i = 0; i < count; ++i) mean += v[i];
    mean /= static_cast<double>(count);
    for (std::int64_t i = 0; i < count; ++i) variance += (v[i] - mean) * (v[i] - mean);
    const double scale = 1.0 / std::sqrt(variance / static_cast<double>(count) + attrs.epsilon);
    for (std::int64_t i = 0; i < count; ++i) v[i] = static_cast<float>((v[i] - mean) * scale) * gamma[i] + beta[i];
  }
}

void infer_attention(InferContext& ctx) {
  const AttentionAttrs attrs = AttentionAttrs::parse(ctx.attrs());
  ctx.expect_inputs(attrs.has_mask ? 4 : 3);
  check_float(ctx);
  for (int i = 0; i < 3; ++i) ctx.expect_rank(i, 4);
  const PartialShape q = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(4);
  const PartialShape v = ctx.input_shape(2).known_rank() ? ctx.input_shape(2) : ctx.fresh_shape(4);
  const Dim heads = q[attrs.bshd ? 2 : 1], rows = q[attrs.bshd ? 1 : 2];
  ctx.set_output(0, DataType::kFloat32,
                 attrs.output_bshd ? PartialShape{q[0], rows, heads, v[3]} : PartialShape{q[0], heads, rows, v[3]});
}

// Element (batch, head, row, column) of a rank-4 operand in either order of dims.
struct Heads {
  Heads(const Tensor& t, bool swapped)
      : data(t.flat<float>().data()), bshd(swapped), batch(t.dim(0)), heads(t.dim(swapped ? 2 : 1)), rows(t.dim(swapped ? 1 : 2)), columns(t.dim(3)) {}
  const float* row(std::int64_t b, std::int64_t h, std::int64_t r) const {
    return data + (bshd ? (b * rows + r) * heads + h : (b * heads + h) * rows + r) * columns;
  }
  const float* data;
  bool bshd;
  std::int64_t batch, heads, rows, columns;
};

void evaluate_attention(EvalContext& ctx) {
  const AttentionAttrs attrs = AttentionAttrs::parse(ctx.attrs());
  for (int i = 0; i < 3; ++i) {
    if (ctx.input(i).rank() != 4) ctx.fail_node("operand {} is {}, rank 4 is needed", i, ctx.input(i).describe());
  }
  const Heads q(ctx.input(0), attrs.bshd), k(ctx.input(1), attrs.bshd), v(ctx.input(2), attrs.bshd);
  if (q.columns != k.columns || k.rows != v.rows || q.heads != k.heads || k.heads != v.heads || q.batch != k.batch || k.batch != v.batch) {
    ctx.fail_node("q {}, k {} and v {} do not fit", ctx.input(0).describe(), ctx.input(1).describe(), ctx.input(2).describe());
  }
  std::optional<Broadcast> mask;
  if (attrs.has_mask) mask.emplace(ctx, ctx.input(3), Shape{q.batch, q.heads, q.rows, k.rows});
  Tensor& result = ctx.allocate(0, DataType::kFloat32,
                                attrs.output_bshd ? Shape{q.batch, q.rows, q.heads, v.columns} : Shape{q.batch, q.heads, q.rows, v.columns});
  float* y = result.flat<float>().data();
  std::vector<double> scores(at(k.rows));
  for (std::int64_t b = 0; b < q.batch; ++b) {
    for (std::int64_t h = 0; h < q.heads; ++h) {
      for (std::int64_t i = 0; i < q.rows; ++i) {
        double top = -std::numeric_limits<double>::infinity(), total = 0;
        for (std::int64_t j = 0; j < k.rows; ++j) {
          double dot = 0;
          for (std::int64_t c = 0; c < q.columns; ++c) dot += double{q.row(b, h, i)[c]} * k.row(b, h, j)[c];
          const double masked = mask ? (*mask)[((b * q.heads + h) * q.rows + i) * k.rows + j] : 0.0;
          // In float, as an unfused graph adds it: a mask of -1e9 absorbs the score.
          scores[at(j)] = static_cast<float>(dot * attrs.scale) + static_cast<float>(masked);
          top = std::max(top, scores[at(j)]);
        }
        for (double& s : scores) total += s = std::exp(s - top);
        float* out = y + (attrs.output_bshd ? (b * q.rows + i) * q.heads + h : (b * q.heads + h) * q.rows + i) * v.columns;
        for (std::int64_t c = 0; c < v.columns; ++c) {
          double sum = 0;
          for (std::int64_t j = 0; j < k.rows; ++j) sum += scores[at(j)] / total * v.row(b, h, j)[c];
          out[c] = static_cast<float>(sum);
        }
      }
    }
  }
}

void infer_affine(InferContext& ctx) {
  Epilogue::parse(ctx.attrs());
  ctx.expect_inputs(3);
  check_float(ctx);
  ctx.set_output(0, DataType::kFloat32, ctx.input_shape(0));
}

void evaluate_affine(EvalContext& ctx) {
  const Epilogue epilogue = Epilogue::parse(ctx.attrs());
  const Tensor& input = ctx.input(0);
  const auto scale = ctx.input(1).flat<float>(), shift = ctx.input(2).flat<float>();
  const std::int64_t channels = input.rank() == 0 ? 1 : input.dim(input.rank() - 1);
  if (static_cast<std::int64_t>(scale.size()) != channels || scale.size() != shift.size()) {
    ctx.fail_node("{} scales and {} shifts for {} channels", scale.size(), shift.size(), channels);
  }
  Tensor& result = ctx.allocate(0, DataType::kFloat32, input.shape());
  const auto x = input.flat<float>();
  auto y = result.flat<float>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % scale.size();
    y[i] = activate(epilogue.activation, x[i] * scale[c] + shift[c], epilogue.alpha, epilogue.beta);
  }
}

void infer_elementwise(InferContext& ctx) {
  const auto program = ElementwiseProgram::parse(ctx.attrs(), ctx.num_inputs());
  ctx.expect_inputs(1, 64);
  check_float(ctx);
  PartialShape shape = ctx.input_shape(0);
  for (int i = 1; i < ctx.num_inputs(); ++i) shape = broadcast_shapes(ctx, shape, ctx.input_shape(i));
  ctx.set_num_outputs(static_cast<int>(program.results.size()));
  for (int i = 0; i < ctx.num_outputs(); ++i) ctx.set_output(i, DataType::kFloat32, shape);
}

void evaluate_elementwise(EvalContext& ctx) {
  const auto program = ElementwiseProgram::parse(ctx.attrs(), ctx.num_inputs());
  std::vector<std::int64_t> dims;
  for (int i = 0; i < ctx.num_inputs(); ++i) dims = broadcast(ctx, dims, ctx.input(i).shape().dims());
  const Shape shape(dims);
  std::vector<Broadcast> operands;
  for (int i = 0; i < ctx.num_inputs(); ++i) operands.emplace_back(ctx, ctx.input(i), shape);
  std::vector<std::span<float>> results;
  for (int i = 0; i < ctx.num_outputs(); ++i) results.push_back(ctx.allocate(i, DataType::kFloat32, shape).flat<float>());
  std::vector<float> registers(at(program.num_registers));
  for (std::int64_t i = 0; i < shape.num_elements(); ++i) {
    for (std::size_t r = 0; r < operands.size(); ++r) registers[r] = operands[r][i];
    for (const ElementwiseInstruction& op : program.instructions) {
      const float a = op.src[0] < 0 ? 0 : registers[at(op.src[0])], b = op.src[1] < 0 ? 0 : registers[at(op.src[1])];
      registers[at(op.dst)] = elementwise_apply(op, a, b);
    }
    for (std::size_t r = 0; r < results.size(); ++r) results[r][at(i)] = registers[at(program.results[r])];
  }
}

void infer_activation(InferContext& ctx) {
  ctx.expect_inputs(1);
  check_float(ctx);
  ctx.set_output(0, DataType::kFloat32, ctx.input_shape(0));
}

void evaluate_activation(EvalContext& ctx, Activation activation) {
  const float alpha = ctx.attrs().get_or<float>("alpha", default_alpha(activation));
  const float beta = ctx.attrs().get_or<float>("beta", default_beta(activation));
  const Tensor& input = ctx.input(0);
  const auto x = input.flat<float>();
  auto y = ctx.allocate(0, DataType::kFloat32, input.shape()).flat<float>();
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = activate(activation, x[i], alpha, beta);
}

void evaluate_gelu(EvalContext& ctx) {
  evaluate_activation(ctx, ctx.attrs().get_or<bool>("approximate", false) ? Activation::kGeluTanh : Activation::kGeluErf);
}

template <Activation kind>
void evaluate_as(EvalContext& ctx) {
  evaluate_activation(ctx, kind);
}

constexpr ir::OpDef kOps[] = {
    {"fused_matmul", infer_matmul, evaluate_matmul},
    {"layer_norm", infer_layer_norm, evaluate_layer_norm},
    {"attention", infer_attention, evaluate_attention},
    {"channel_affine", infer_affine, evaluate_affine},
    {"elementwise", infer_elementwise, evaluate_elementwise},
    {"gelu", infer_activation, evaluate_gelu},
    {"swish", infer_activation, evaluate_as<Activation::kSwish>},
    {"hard_swish", infer_activation, evaluate_as<Activation::kHardSwish>},
    {"hard_sigmoid", infer_activation, evaluate_as<Activation::kHardSigmoid>},
    {"clip", infer_activation, evaluate_as<Activation::kClip>},
};

}  // namespace

const OpFamily& fused_family() {
  static const OpFamily family{"fused", kOps, {}};
  return family;
}

}  // namespace tenon::ops
