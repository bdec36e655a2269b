// Fourier transforms over the last one, two or three dimensions.
#include <algorithm>

#include "base/visit_dtype.h"
#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/elementwise.h"
#include "ops/fft.h"
#include "ops/registry.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;
using Complex = Fft::Complex;

enum class Kind { kForward, kInverse, kRealForward, kRealInverse };
constexpr bool is_inverse(Kind kind) { return kind == Kind::kInverse || kind == Kind::kRealInverse; }

template <Kind kKind, int kRank>
void infer_fft(InferContext& ctx) {
  const bool real = kKind == Kind::kRealForward || kKind == Kind::kRealInverse;
  ctx.expect_inputs(real ? 2 : 1);
  PartialShape shape = ctx.input_shape(0);
  if (shape.known_rank() && shape.rank() < kRank) ctx.fail_node("the operand must have rank {} at least, its shape is {}", kRank, shape.to_string());
  DataType dtype = ctx.input_dtype(0);
  if constexpr (kKind == Kind::kRealForward) {
    dtype = ctx.attrs().get_or<DataType>("Tcomplex", dtype == DataType::kFloat64 ? DataType::kComplex128 : DataType::kComplex64);
  }
  if constexpr (kKind == Kind::kRealInverse) {
    dtype = ctx.attrs().get_or<DataType>("Treal", dtype == DataType::kComplex128 ? DataType::kFloat64 : DataType::kFloat32);
  }
  if (real && shape.known_rank()) {
    const auto lengths = ctx.constant_integers(1);
    for (int i = 0; i < kRank; ++i) {
      Dim& dim = shape[shape.rank() - kRank + i];
      if (!lengths || lengths->size() != kRank || (*lengths)[static_cast<std::size_t>(i)] < 0) {
        dim = ctx.fresh();
        continue;
      }
      const std::int64_t length = (*lengths)[static_cast<std::size_t>(i)];
      const bool halved = kKind == Kind::kRealForward && i == kRank - 1;
      dim = halved ? (length > 0 ? length / 2 + 1 : 0) : length;
    }
  }
  ctx.set_output(0, dtype, std::move(shape));
}

// Transforms along one axis of the last kRank dimensions, in place.
void transform_axis(const Fft& fft, std::vector<Complex>& block, const std::vector<std::int64_t>& dims, std::size_t axis, bool inverse) {
  const auto length = static_cast<std::size_t>(dims[axis]);
  std::size_t inner = 1;
  for (std::size_t d = axis + 1; d < dims.size(); ++d) inner *= static_cast<std::size_t>(dims[d]);
  std::vector<Complex> line(length);
  for (std::size_t start = 0; start < block.size(); start += length * inner) {
    for (std::size_t i = 0; i < inner; ++i) {
      for (std::size_t k = 0; k < length; ++k) line[k] = block[start + i + k * inner];
      inverse ? fft.inverse(line) : fft.forward(line);
      for (std::size_t k = 0; k < length; ++k) block[start + i + k * inner] = line[k];
    }
  }
}

std::size_t product(const std::vector<std::int64_t>& dims) {
  std::size_t count = 1;
  for (const std::int64_t d : dims) count *= static_cast<std::size_t>(d);
  return count;
}

// Calls f(offset in a, offset in b) for every index that both shapes have.
template <class F>
void each_common(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b, F&& f) {
  std::vector<std::int64_t> index(a.size(), 0);
  for (std::size_t d = 0; d < a.size(); ++d) {
    if (a[d] == 0 || b[d] == 0) return;
  }
  for (;;) {
    std::size_t at = 0, bt = 0;
    for (std::size_t d = 0; d < a.size(); ++d) {
      at = at * static_cast<std::size_t>(a[d]) + static_cast<std::size_t>(index[d]);
      bt = bt * static_cast<std::size_t>(b[d]) + static_cast<std::size_t>(index[d]);
    }
    f(at, bt);
    std::size_t d = a.size();
    while (d > 0 && ++index[d - 1] == std::min(a[d - 1], b[d - 1])) index[--d] = 0;
    if (d == 0) return;
  }
}

// The half spectrum of a real signal becomes the whole one: X[-k] = conj(X[k]) in all transformed dimensions at once.
void complete_spectrum(std::vector<Complex>& block, const std::vector<std::int64_t>& dims) {
  const std::int64_t length = dims.back();
  std::vector<std::int64_t> index(dims.size(), 0);
  for (std::size_t at = 0; at < block.size(); ++at) {
    std::size_t rest = at, mirrored = 0, stride = 1;
    for (std::size_t d = dims.size(); d-- > 0;) {
      const auto size = static_cast<std::size_t>(dims[d]);
      const std::size_t i = rest % size;
      rest /= size;
      index[d] = static_cast<std::int64_t>(i);
      mirrored += (i == 0 ? 0 : size - i) * stride;
      stride *= size;
    }
    if (index.back() > length / 2) block[at] = std::conj(block[mirrored]);
  }
}

// The sizes of the transform: fft_length where there is one, else the operand's own.
std::vector<std::int64_t> transform_sizes(const EvalContext& ctx, int rank, const Shape& shape) {
  std::vector<std::int64_t> sizes(shape.end() - rank, shape.end());
  if (ctx.num_inputs() < 2) return sizes;
  sizes = ctx.integers(1);
  if (static_cast<int>(sizes.size()) != rank) ctx.fail_node("fft_length has {} sizes, {} are needed", sizes.size(), rank);
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > std::int64_t{1} << 28) ctx.fail_node("fft_length {} is out of range", size);
  }
  return sizes;
}

template <class In, class Out>
void run_fft(EvalContext& ctx, Kind kind, int rank, DataType out_type) {
  const Tensor in = ctx.input(0);
  const std::vector<std::int64_t> sizes = transform_sizes(ctx, rank, in.shape());
  std::vector<std::int64_t> in_dims(in.shape().end() - rank, in.shape().end());
  std::vector<std::int64_t> used = sizes;  // the part of the block that the operand fills
  if (kind == Kind::kRealInverse) used.back() = sizes.back() == 0 ? 0 : sizes.back() / 2 + 1;
  for (std::size_t d = 0; d < used.size(); ++d) {
    if (in_dims[d] < used[d] && in.num_elements() > 0) ctx.fail_node("the operand {} is too short for a transform of {}", in.describe(), Shape(sizes).to_string());
    used[d] = std::min(used[d], sizes[d]);
  }
  std::vector<std::int64_t> out_dims = sizes;
  if (kind == Kind::kRealForward) out_dims.back() = sizes.back() == 0 ? 0 : sizes.back() / 2 + 1;
  std::vector<std::int64_t> shape(in.shape().begin(), in.shape().end() - rank);
  shape.insert(shape.end(), out_dims.begin(), out_dims.end());
  Tensor& out = ctx.allocate(0, out_type, Shape(shape));
  const std::size_t in_block = product(in_dims), out_block = product(out_dims), size = product(sizes);
  const std::size_t batches = out_block == 0 ? 0 : static_cast<std::size_t>(out.num_elements()) / out_block;
  const double scale = is_inverse(kind) && size > 0 ? 1.0 / static_cast<double>(size) : 1.0;
  std::vector<std::int64_t> limit = in_dims;  // what is read of the operand: nothing beyond `used`
  for (std::size_t d = 0; d < limit.size(); ++d) limit[d] = std::min(limit[d], used[d]);
  std::vector<Fft> transforms;
  for (const std::int64_t length : sizes) transforms.emplace_back(static_cast<std::size_t>(length));
  const auto transform_batch = [&](std::size_t batch) {
    std::vector<Complex> block(size);
    const In* from = in.flat<In>().data() + batch * in_block;
    each_common(in_dims, sizes, [&](std::size_t a, std::size_t b) {
      const std::size_t last = a % static_cast<std::size_t>(in_dims.back());
      if (static_cast<std::int64_t>(last) < limit.back()) block[b] = Complex(from[a]);
    });
    if (kind == Kind::kRealInverse) complete_spectrum(block, sizes);
    for (std::size_t axis = sizes.size(); axis-- > 0;) transform_axis(transforms[axis], block, sizes, axis, is_inverse(kind));
    Out* to = out.flat<Out>().data() + batch * out_block;
    each_common(sizes, out_dims, [&](std::size_t a, std::size_t b) {
      if constexpr (kIsComplex<Out>) {
        to[b] = Out(static_cast<typename Out::value_type>(block[a].real() * scale), static_cast<typename Out::value_type>(block[a].imag() * scale));
      } else {
        to[b] = static_cast<Out>(block[a].real() * scale);
      }
    });
  };
  constexpr std::int64_t kGrain = 1 << 14;  // elements that are worth a share
  for_shares(ctx.team(), static_cast<std::int64_t>(batches), kGrain / static_cast<std::int64_t>(std::max<std::size_t>(size, 1)) + 1,
             [&](std::int64_t first, std::int64_t last) {
               for (std::int64_t batch = first; batch < last; ++batch) transform_batch(static_cast<std::size_t>(batch));
             });
}

template <Kind kKind, int kRank>
void evaluate_fft(EvalContext& ctx) {
  const Tensor& in = ctx.input(0);
  if (in.rank() < kRank) ctx.fail_node("the operand must have rank {} at least, it is {}", kRank, in.describe());
  if constexpr (kKind == Kind::kRealForward) {
    if (in.dtype() == DataType::kFloat32) return run_fft<float, std::complex<float>>(ctx, kKind, kRank, DataType::kComplex64);
    if (in.dtype() == DataType::kFloat64) return run_fft<double, std::complex<double>>(ctx, kKind, kRank, DataType::kComplex128);
  } else if constexpr (kKind == Kind::kRealInverse) {
    if (in.dtype() == DataType::kComplex64) return run_fft<std::complex<float>, float>(ctx, kKind, kRank, DataType::kFloat32);
    if (in.dtype() == DataType::kComplex128) return run_fft<std::complex<double>, double>(ctx, kKind, kRank, DataType::kFloat64);
  } else {
    if (in.dtype() == DataType::kComplex64) return run_fft<std::complex<float>, std::complex<float>>(ctx, kKind, kRank, in.dtype());
    if (in.dtype() == DataType::kComplex128) return run_fft<std::complex<double>, std::complex<double>>(ctx, kKind, kRank, in.dtype());
  }
  fail(ErrorCode::kUnsupported, "{}: dtype {} is not supported", ctx.node().describe(), dtype_name(in.dtype()));
}

template <Kind kKind, int kRank>
constexpr ir::OpDef fft_op(std::string_view name) {
  return {name, infer_fft<kKind, kRank>, evaluate_fft<kKind, kRank>};
}

constexpr ir::OpDef kOps[] = {
    fft_op<Kind::kForward, 1>("fft"),         fft_op<Kind::kForward, 2>("fft2d"),         fft_op<Kind::kForward, 3>("fft3d"),
    fft_op<Kind::kInverse, 1>("ifft"),        fft_op<Kind::kInverse, 2>("ifft2d"),        fft_op<Kind::kInverse, 3>("ifft3d"),
    fft_op<Kind::kRealForward, 1>("rfft"),    fft_op<Kind::kRealForward, 2>("rfft2d"),    fft_op<Kind::kRealForward, 3>("rfft3d"),
    fft_op<Kind::kRealInverse, 1>("irfft"),   fft_op<Kind::kRealInverse, 2>("irfft2d"),   fft_op<Kind::kRealInverse, 3>("irfft3d"),
};

constexpr ImportRule kRules[] = {
    {"FFT", "fft"},     {"FFT2D", "fft2d"},     {"FFT3D", "fft3d"},     {"IFFT", "ifft"},   {"IFFT2D", "ifft2d"},   {"IFFT3D", "ifft3d"},
    {"RFFT", "rfft"},   {"RFFT2D", "rfft2d"},   {"RFFT3D", "rfft3d"},   {"IRFFT", "irfft"}, {"IRFFT2D", "irfft2d"}, {"IRFFT3D", "irfft3d"},
};

}  // namespace

const OpFamily& signal_family() {
  static const OpFamily family{"signal", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
