// Reordering: permutations of axes, reversals, rolls, and the vectors that go with a change of data format.
#include <algorithm>
#include <complex>

#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

bool is_permutation(const std::vector<std::int64_t>& values) {
  std::vector<bool> seen(values.size(), false);
  for (std::int64_t value : values) {
    if (value < 0 || value >= static_cast<std::int64_t>(values.size()) || seen[static_cast<std::size_t>(value)])
      return false;
    seen[static_cast<std::size_t>(value)] = true;
  }
  return true;
}

// transpose: input, perm; result axis i is input axis perm[i]. conjugate_transpose takes the complex conjugate besides.
void infer_transpose(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape& shape = ctx.input_shape(0);
  auto perm = known_integers(ctx, 1);
  const auto length = known_length(ctx, 1);
  const auto rank = shape.known_rank() ? std::optional<int>(shape.rank()) : length;
  if (!rank) return ctx.set_output(0, ctx.input_dtype(0), {});
  if (length && *length != *rank) ctx.fail_node("the permutation has {} entries for rank {}", *length, *rank);
  if (!perm || !shape.known_rank()) return ctx.set_output(0, ctx.input_dtype(0), ctx.fresh_shape(*rank));
  PartialShape result = shape;
  for (int i = 0; i < *rank; ++i) result[i] = shape[ir::normalize_axis(ctx, (*perm)[static_cast<std::size_t>(i)], *rank)];
  ctx.set_output(0, ctx.input_dtype(0), std::move(result));
}

void evaluate_transpose(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  std::vector<std::int64_t> perm = ctx.integers(1);
  for (std::int64_t& axis : perm) axis = axis < 0 ? axis + input.rank() : axis;
  if (static_cast<int>(perm.size()) != input.rank() || !is_permutation(perm)) {
    ctx.fail_node("the second input is not a permutation of the axes of {}", input.describe());
  }
  ctx.set_output(0, permuted(input, std::vector<int>(perm.begin(), perm.end())));
}

void evaluate_conjugate_transpose(EvalContext& ctx) {
  evaluate_transpose(ctx);
  Tensor& output = ctx.output(0);
  const auto conjugate = [&](auto elements) {
    for (auto& element : elements) element = std::conj(element);
  };
  if (output.dtype() == DataType::kComplex64) conjugate(output.flat<std::complex<float>>());
  if (output.dtype() == DataType::kComplex128) conjugate(output.flat<std::complex<double>>());
}

void infer_same(InferContext& ctx) { ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0)); }

void store_like(EvalContext& ctx, const std::vector<std::int64_t>& values) {
  const Tensor input = ctx.input(0);
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  visit_dtype(IndexIntegers{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(values, output.flat<T>().begin(), [](std::int64_t value) { return static_cast<T>(value); });
  });
}

void evaluate_invert_permutation(EvalContext& ctx) {
  expect_rank(ctx, 0, 1);
  const std::vector<std::int64_t> perm = ctx.integers(0);
  if (!is_permutation(perm)) ctx.fail_node("the input is not a permutation");
  std::vector<std::int64_t> inverse(perm.size());
  for (std::size_t i = 0; i < perm.size(); ++i) inverse[static_cast<std::size_t>(perm[i])] = static_cast<std::int64_t>(i);
  store_like(ctx, inverse);
}

// Copies with the axes in `reversed` backwards.
void reverse_axes(EvalContext& ctx, const std::vector<bool>& reversed) {
  const Tensor input = ctx.input(0);
  Walk from{0, row_major_strides(input.shape())};
  for (int i = 0; i < input.rank(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (!reversed[at] || input.dim(i) == 0) continue;
    from.offset += (input.dim(i) - 1) * from.strides[at];
    from.strides[at] = -from.strides[at];
  }
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  copy_walk(input.shape(), output, {0, row_major_strides(input.shape())}, input, from);
}

// reverse: input, axes.
void evaluate_reverse(EvalContext& ctx) {
  std::vector<bool> reversed(static_cast<std::size_t>(ctx.input(0).rank()), false);
  for (std::int64_t axis : ctx.integers(1)) {
    const auto at = static_cast<std::size_t>(ctx.normalize_axis(axis, ctx.input(0).rank()));
    if (reversed[at]) ctx.fail_node("axis {} is listed twice", axis);
    reversed[at] = true;
  }
  reverse_axes(ctx, reversed);
}

// reverse_flags: input, one bool per axis.
void evaluate_reverse_flags(EvalContext& ctx) {
  const auto flags = ctx.input(1).flat<bool>();
  if (static_cast<int>(flags.size()) != ctx.input(0).rank()) {
    ctx.fail_node("{} flags are given for {}", flags.size(), ctx.input(0).describe());
  }
  reverse_axes(ctx, std::vector<bool>(flags.begin(), flags.end()));
}

// reverse_sequence: input, lengths. Along seq_dim the first lengths[b] elements of batch b (batch_dim) are reversed.
void evaluate_reverse_sequence(EvalContext& ctx) {
  const Tensor input = ctx.input(0);
  const std::vector<std::int64_t> lengths = ctx.integers(1);
  const int seq = ctx.normalize_axis(ctx.attrs().get<std::int64_t>("seq_dim"), input.rank());
  const int batch = ctx.normalize_axis(ctx.attrs().get_or<std::int64_t>("batch_dim", 0), input.rank());
  if (seq == batch) ctx.fail_node("seq_dim and batch_dim are both {}", seq);
  if (static_cast<std::int64_t>(lengths.size()) != input.dim(batch)) {
    ctx.fail_node("{} lengths are given for {} sequences", lengths.size(), input.dim(batch));
  }
  Tensor output = input.clone();
  const std::vector<std::int64_t> strides = row_major_strides(input.shape());
  const std::int64_t step = strides[static_cast<std::size_t>(seq)];
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] < 0 || lengths[b] > input.dim(seq))
      ctx.fail_node("length {} is outside [0, {}]", lengths[b], input.dim(seq));
    if (lengths[b] == 0) continue;
    Shape box = input.shape();
    box[batch] = 1;
    box[seq] = lengths[b];
    const Walk to{static_cast<std::int64_t>(b) * strides[static_cast<std::size_t>(batch)], strides};
    Walk from{to.offset + (lengths[b] - 1) * step, strides};
    from.strides[static_cast<std::size_t>(seq)] = -step;
    copy_walk(box, output, to, input, from);
  }
  ctx.set_output(0, std::move(output));
}

// roll: input, shift, axis; shift and axis are scalars or vectors of one length, shifts of one axis add up.
void evaluate_roll(EvalContext& ctx) {
  const std::vector<std::int64_t> shifts = ctx.integers(1), axes = ctx.integers(2);
  if (shifts.size() != axes.size()) ctx.fail_node("{} shifts are given for {} axes", shifts.size(), axes.size());
  Tensor result = ctx.input(0);
  if (result.rank() == 0) ctx.fail_node("a scalar cannot be rolled");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int axis = ctx.normalize_axis(axes[i], result.rank());
    const std::int64_t size = result.dim(axis);
    if (size == 0) continue;
    const std::int64_t shift = (shifts[i] % size + size) % size;
    std::vector<std::int64_t> indices(static_cast<std::size_t>(size));
    for (std::int64_t j = 0; j < size; ++j) indices[static_cast<std::size_t>((j + shift) % size)] = j;
    result = take(result, axis, indices);
  }
  ctx.set_output(0, std::move(result));
}

struct FormatPair {
  std::string source, target;
};

FormatPair data_formats(const EvalContext& ctx) {
  FormatPair formats{ctx.attrs().get_or<std::string>("src_format", "NHWC"),
                     ctx.attrs().get_or<std::string>("dst_format", "NCHW")};
  std::string a = formats.source, b = formats.target;
  std::ranges::sort(a);
  std::ranges::sort(b);
  if (a != b || a.empty() || std::ranges::adjacent_find(a) != a.end()) {
    ctx.fail_node("formats \"{}\" and \"{}\" do not permute each other", formats.source, formats.target);
  }
  return formats;
}

// data_format_dim_map: axis numbers of src_format as those of dst_format.
void evaluate_data_format_dim_map(EvalContext& ctx) {
  const FormatPair formats = data_formats(ctx);
  std::vector<std::int64_t> axes = ctx.integers(0);
  for (std::int64_t& axis : axes) {
    const int normal = ctx.normalize_axis(axis, static_cast<int>(formats.source.size()));
    axis = static_cast<std::int64_t>(formats.target.find(formats.source[static_cast<std::size_t>(normal)]));
  }
  store_like(ctx, axes);
}

// data_format_vec_permute: a vector with one entry (or a matrix with two) per axis, or per spatial axis, brought to
// dst_format.
void evaluate_data_format_vec_permute(EvalContext& ctx) {
  FormatPair formats = data_formats(ctx);
  const Tensor& input = ctx.input(0);
  if (input.rank() != 1 && !(input.rank() == 2 && input.dim(1) == 2)) ctx.fail_node("cannot permute {}", input.describe());
  if (input.dim(0) + 2 == static_cast<std::int64_t>(formats.source.size())) {
    const auto is_not_spatial = [](char axis) { return axis == 'N' || axis == 'C'; };
    std::erase_if(formats.source, is_not_spatial);
    std::erase_if(formats.target, is_not_spatial);
  }
  if (input.dim(0) != static_cast<std::int64_t>(formats.source.size())) {
    ctx.fail_node("{} has no entry for each axis of \"{}\"", input.describe(), formats.source);
  }
  std::vector<std::int64_t> rows;
  for (char axis : formats.target) rows.push_back(static_cast<std::int64_t>(formats.source.find(axis)));
  ctx.set_output(0, take(input, 0, rows));
}

constexpr ir::OpDef kOps[] = {
    {"transpose", infer_transpose, evaluate_transpose},
    {"conjugate_transpose", infer_transpose, evaluate_conjugate_transpose},
    {"invert_permutation", infer_same, evaluate_invert_permutation},
    {"reverse", infer_same, evaluate_reverse},
    {"reverse_flags", infer_same, evaluate_reverse_flags},
    {"reverse_sequence", infer_same, evaluate_reverse_sequence},
    {"roll", infer_same, evaluate_roll},
    {"data_format_dim_map", infer_same, evaluate_data_format_dim_map},
    {"data_format_vec_permute", infer_same, evaluate_data_format_vec_permute},
};

constexpr ImportRule kRules[] = {
    {"Transpose", "transpose"},
    {"ConjugateTranspose", "conjugate_transpose"},
    {"InvertPermutation", "invert_permutation"},
    {"ReverseV2", "reverse"},
    {"Reverse", "reverse_flags"},
    {"ReverseSequence", "reverse_sequence"},
    {"Roll", "roll"},
    {"DataFormatDimMap", "data_format_dim_map"},
    {"DataFormatVecPermute", "data_format_vec_permute"},
};

}  // namespace

const OpFamily& transpose_family() {
  static const OpFamily family{"transpose", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
