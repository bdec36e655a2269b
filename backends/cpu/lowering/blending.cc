// Images resized by wider kernels than two pixels: bicubic, by area, scaled and translated.
#include <algorithm>
#include <array>

#include "backends/cpu/kernels/shares.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/resize.h"

namespace tenon::cpu {
namespace {

const ir::ValueType& type_of(const ir::Node& node, std::size_t operand) {
  const ir::Value& value = node.inputs.at(operand);
  return value.node->outputs.at(static_cast<std::size_t>(value.index));
}

Verdict supports_blending(const ir::Node& node) {
  if (node.inputs.size() < (node.is("scale_and_translate") ? 4u : 2u)) return Verdict::no("an operand is missing");
  const DataType dtype = type_of(node, 0).dtype;
  if (dtype != DataType::kFloat32 && dtype != DataType::kUInt8) {
    return Verdict::no(fmt::format("resizing {} images does not run in an engine", dtype_name(dtype)));
  }
  if (auto verdict = require_rank(node, 0, 4); !verdict) return verdict;
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    if (auto verdict = require_known(node, static_cast<int>(i), i == 1 ? "the size" : "how it is scaled"); !verdict) return verdict;
  }
  return Verdict::yes();
}

// Blends one after the other: those of pixel i are [first[i], first[i + 1]).
struct Taps {
  std::vector<std::int64_t> first{0}, index;
  std::vector<float> weight;

  explicit Taps(const ops::Blends& blends) {
    for (const ops::Blend& blend : blends) {
      index.insert(index.end(), blend.indices.begin(), blend.indices.end());
      for (const double w : blend.weights) weight.push_back(static_cast<float>(w));
      first.push_back(static_cast<std::int64_t>(index.size()));
    }
  }
  std::int64_t count() const { return static_cast<std::int64_t>(first.size()) - 1; }

  // sum[c] += weight * source[index * stride + c] over the taps of pixel i.
  template <class T>
  void add(std::int64_t i, const T* source, std::int64_t stride, float* sum, std::int64_t channels) const {
    for (std::int64_t k = first[static_cast<std::size_t>(i)]; k < first[static_cast<std::size_t>(i) + 1]; ++k) {
      const float w = weight[static_cast<std::size_t>(k)];
      const T* from = source + index[static_cast<std::size_t>(k)] * stride;
      for (std::int64_t c = 0; c < channels; ++c) sum[c] += w * static_cast<float>(from[c]);
    }
  }
};

struct Blending {
  Taps rows, columns;
  std::int64_t height = 0, width = 0, channels = 0;  // of the operand
  Shares shares;                                     // of the result's lines
  Slot from = -1, to = -1;

  std::int64_t line() const { return width * channels; }
};

// Every line is blended from the operand's rows into scratch memory, then along itself.
template <class T>
std::unique_ptr<Step> blending_step(Blending blending) {
  return make_step([b = std::move(blending)](const Frame& frame) {
    for_shares(b.shares, *frame.team, [&](std::int64_t begin, std::int64_t end) {
      float* line = reinterpret_cast<float*>(frame.scratch) + begin / b.shares.step * b.line();
      for (std::int64_t at = begin; at < end; ++at) {
        const T* image = frame.at<const T>(b.from) + at / b.rows.count() * b.height * b.line();
        std::fill_n(line, b.line(), 0.0f);
        b.rows.add(at % b.rows.count(), image, b.line(), line, b.line());
        float* y = frame.at<float>(b.to) + at * b.columns.count() * b.channels;
        std::fill_n(y, b.columns.count() * b.channels, 0.0f);
        for (std::int64_t o = 0; o < b.columns.count(); ++o) b.columns.add(o, line, b.channels, y + o * b.channels, b.channels);
      }
    });
  });
}

std::array<float, 2> pair_of(const PlanContext& ctx, int operand) {
  const Tensor* value = ctx.operand(operand).constant;
  if (value == nullptr || value->dtype() != DataType::kFloat32 || value->num_elements() != 2) {
    fail(ErrorCode::kUnsupported, "{}: operand {} must be two float32 numbers that are known before running", ctx.node().describe(), operand);
  }
  return {value->flat<float>()[0], value->flat<float>()[1]};
}

Taps taps_along(const PlanContext& ctx, int axis) {
  const std::int64_t in = ctx.operand(0).shape[axis], out = ctx.result().shape[axis];
  if (in < 1 || out < 1) fail(ErrorCode::kInvalidArgument, "{}: images have no pixels", ctx.node().describe());
  const ir::Node& node = ctx.node();
  if (!node.is("scale_and_translate")) return Taps(ops::resize_blends(node.op->name, node.attrs, in, out));
  const auto i = static_cast<std::size_t>(axis - 1);
  const float scale = pair_of(ctx, 2)[i];
  if (!(scale > 0)) fail(ErrorCode::kInvalidArgument, "{}: the scale must be positive", node.describe());
  return Taps(ops::scaled_blends(node.attrs, in, out, scale, pair_of(ctx, 3)[i]));
}

std::unique_ptr<Step> prepare(PlanContext& ctx) {
  const Place &x = ctx.operand(0), &y = ctx.result();
  Blending b{taps_along(ctx, 1), taps_along(ctx, 2), x.shape[1], x.shape[2], x.shape[3], {}, x.slot, y.slot};
  const double rows = static_cast<double>(b.rows.index.size()) / static_cast<double>(b.rows.count());
  const double work = rows * static_cast<double>(b.line()) + static_cast<double>(static_cast<std::int64_t>(b.columns.index.size()) * b.channels);
  b.shares = split_work(y.shape[0] * y.shape[1], work * 0.3);
  ctx.need_scratch(static_cast<std::size_t>(b.shares.shares * b.line()) * sizeof(float));
  return x.dtype == DataType::kFloat32 ? blending_step<float>(std::move(b)) : blending_step<std::uint8_t>(std::move(b));
}

Lowered lower_blending(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.unread = Positions::from(1);
  lowered.prepare = prepare;
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"resize_bicubic", supports_blending, lower_blending},
    {"resize_area", supports_blending, lower_blending},
    {"scale_and_translate", supports_blending, lower_blending},
};

}  // namespace

const LoweringFamily& blending_lowerings() {
  static const LoweringFamily family{"blending", kLowerings};
  return family;
}

}  // namespace tenon::cpu
