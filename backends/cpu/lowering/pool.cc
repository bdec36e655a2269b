// Pooling and resizing of images.
#include "backends/cpu/kernels/pool.h"

#include "backends/cpu/kernels/resize.h"
#include "backends/cpu/lowering/layout.h"
#include "backends/cpu/lowering/lowering.h"
#include "base/error.h"
#include "ops/fused.h"

namespace tenon::cpu {
namespace {

// The spatial part of a list with one number per dimension, channels last.
std::vector<std::int64_t> spatial_part(const ir::Attrs& attrs, std::string_view name, int spatial) {
  const auto all = attrs.get<std::vector<std::int64_t>>(name);
  if (static_cast<int>(all.size()) != spatial + 2) {
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" has {} numbers, {} are needed", name, all.size(), spatial + 2);
  }
  return {all.begin() + 1, all.end() - 1};
}

// Padding before the input along one dimension.
std::int64_t padding_before(const ir::Node& node, int d, std::int64_t input, std::int64_t output, std::int64_t window, std::int64_t stride) {
  const auto kind = node.attr<std::string>("padding");
  if (kind == "VALID") return 0;
  if (kind == "EXPLICIT") {
    const auto listed = node.attr<std::vector<std::int64_t>>("explicit_paddings");
    return listed.at(static_cast<std::size_t>(2 * (d + 1)));
  }
  return std::max<std::int64_t>(0, (output - 1) * stride + window - input) / 2;
}

std::unique_ptr<Step> prepare_pool(PlanContext& ctx, int spatial, PoolKind kind) {
  const ir::Node& node = ctx.node();
  const Place &x = ctx.operand(0), &y = ctx.result();
  const auto window = spatial_part(node.attrs, "ksize", spatial), stride = spatial_part(node.attrs, "strides", spatial);
  PoolShape shape;
  shape.kind = kind;
  shape.batch = x.shape[0];
  shape.channels = x.shape[spatial + 1];
  shape.output_stride = y.pitch;
  for (int d = 0; d < spatial; ++d) {
    const auto from = static_cast<std::size_t>(d), to = static_cast<std::size_t>(d + 3 - spatial);
    shape.input[to] = x.shape[d + 1];
    shape.output[to] = y.shape[d + 1];
    shape.window[to] = window[from];
    shape.stride[to] = stride[from];
    shape.padding[to] = padding_before(node, d, shape.input[to], shape.output[to], window[from], stride[from]);
  }
  auto kernel = std::make_shared<const Pool>(shape);
  return make_step([kernel, from = x.slot, to = y.slot](const Frame& frame) {
    kernel->run(frame.at<const float>(from), frame.at<float>(to), *frame.team);
  });
}

bool is_3d(const ir::Node& node) { return node.is("max_pool_3d") || node.is("avg_pool_3d"); }

Verdict supports_pool(const ir::Node& node) {
  if (auto verdict = require_float32(node, 1); !verdict) return verdict;
  const int rank = is_3d(node) ? 5 : 4;
  if (auto verdict = require_rank(node, 0, rank); !verdict) return verdict;
  const auto format = node.attr_or<std::string>("data_format", "NHWC");
  if (format != "NHWC" && format != "NDHWC") return Verdict::no("data_format " + format + " does not run in an engine");
  for (const char* name : {"ksize", "strides"}) {
    const auto list = node.attr_or<std::vector<std::int64_t>>(name, {});
    if (static_cast<int>(list.size()) != rank || list[0] != 1 || list.back() != 1) {
      return Verdict::no("pooling over batch or channels does not run in an engine");
    }
  }
  return Verdict::yes();
}

Lowered lower_pool(const ir::Node& node, WeightSource&) {
  const bool maximum = node.is("max_pool") || node.is("max_pool_3d");
  Lowered lowered;
  lowered.kernel = maximum ? "max_pool" : "avg_pool";
  lowered.pitched_results = {0};
  lowered.prepare = [spatial = is_3d(node) ? 3 : 2, kind = maximum ? PoolKind::kMaximum : PoolKind::kAverage](PlanContext& ctx) {
    return prepare_pool(ctx, spatial, kind);
  };
  return lowered;
}

Verdict supports_resize(const ir::Node& node) {
  const bool nearest = node.is("resize_nearest");
  const ir::Value& image = node.inputs.at(0);
  const DataType dtype = image.node->outputs.at(static_cast<std::size_t>(image.index)).dtype;
  if (dtype != DataType::kFloat32 && !(nearest && (dtype == DataType::kUInt8 || dtype == DataType::kInt32))) {
    return Verdict::no(fmt::format("resizing {} images does not run in an engine", dtype == DataType::kInvalid ? "unknown" : dtype_name(dtype)));
  }
  if (auto verdict = require_rank(node, 0, 4); !verdict) return verdict;
  return require_known(node, 1, "the size");
}

Lowered lower_resize(const ir::Node& node, WeightSource&) {
  Lowered lowered;
  lowered.kernel = std::string(node.op->name);
  lowered.unread = {1};
  lowered.prepare = [nearest = node.is("resize_nearest")](PlanContext& ctx) -> std::unique_ptr<Step> {
    const Place &x = ctx.operand(0), &y = ctx.result();
    ResizeShape shape{x.shape[0], x.shape[1], x.shape[2], x.shape[3], y.shape[1], y.shape[2],
                      ctx.node().attr_or<bool>("align_corners", false), ctx.node().attr_or<bool>("half_pixel_centers", false)};
    if (nearest) {
      auto kernel = std::make_shared<const ResizeNearest>(shape, static_cast<std::int64_t>(dtype_size(x.dtype)));
      return make_step([kernel, from = x.slot, to = y.slot](const Frame& frame) {
        kernel->run(frame.at<const void>(from), frame.at<void>(to), *frame.team);
      });
    }
    auto kernel = std::make_shared<const ResizeBilinear>(shape);
    return make_step([kernel, from = x.slot, to = y.slot](const Frame& frame) {
      kernel->run(frame.at<const float>(from), frame.at<float>(to), *frame.team);
    });
  };
  return lowered;
}

constexpr Lowering kLowerings[] = {
    {"max_pool", supports_pool, lower_pool},
    {"avg_pool", supports_pool, lower_pool},
    {"max_pool_3d", supports_pool, lower_pool},
    {"avg_pool_3d", supports_pool, lower_pool},
    {"resize_bilinear", supports_resize, lower_resize},
    {"resize_nearest", supports_resize, lower_resize},
};

}  // namespace

const LoweringFamily& pool_lowerings() {
  static const LoweringFamily family{"pool", kLowerings};
  return family;
}

}  // namespace tenon::cpu
