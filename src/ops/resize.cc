// Images at another size: nearest, bilinear, bicubic, area, and separable kernels with scale and translation. All but the
// nearest give float32.
#include "ops/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/elementwise.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// images [N,H,W,C], size [height, width].
template <bool kFloat>
void infer_resize(InferContext& ctx) {
  if (ctx.num_inputs() < 2) ctx.fail_node("has {} inputs, needs images and a size", ctx.num_inputs());
  ctx.expect_rank(0, 4);
  ctx.expect_rank(1, 1);
  PartialShape shape = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(4);
  const auto size = ctx.dims(1);
  if (size && size->size() != 2) ctx.fail_node("the size has {} numbers, 2 are needed", size->size());
  for (int i = 0; i < 2; ++i) shape[i + 1] = size ? (*size)[static_cast<std::size_t>(i)] : ctx.fresh();
  ctx.set_output(0, kFloat ? DataType::kFloat32 : ctx.input_dtype(0), std::move(shape));
}

Shape resized_shape(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  const Shape size = shape_operand(ctx, 1);
  const Tensor& images = ctx.input(0);
  if (size.rank() != 2) ctx.fail_node("the size has {} numbers, 2 are needed", size.rank());
  if (size[0] < 1 || size[1] < 1) ctx.fail_node("the size {} must be positive", size.to_string());
  if (images.dim(1) < 1 || images.dim(2) < 1) ctx.fail_node("images {} have no pixels", images.describe());
  return Shape{images.dim(0), size[0], size[1], images.dim(3)};
}

// Where output pixel i lies in the input, by the attributes align_corners and half_pixel_centers.
struct Mapping {
  float scale;
  bool half_pixel;

  float operator()(std::int64_t i) const {
    const auto at = static_cast<float>(i);
    return half_pixel ? (at + 0.5f) * scale - 0.5f : at * scale;
  }
};

bool align_corners(const ir::Attrs& attrs) { return attrs.get_or<bool>("align_corners", false); }

Mapping mapping(const ir::Attrs& attrs, std::int64_t in, std::int64_t out) {
  const bool half_pixel = attrs.get_or<bool>("half_pixel_centers", false);
  if (align_corners(attrs) && half_pixel) fail(ErrorCode::kInvalidArgument, "align_corners and half_pixel_centers exclude each other");
  if (align_corners(attrs) && out > 1) return {static_cast<float>(in - 1) / static_cast<float>(out - 1), half_pixel};
  return {static_cast<float>(in) / static_cast<float>(out), half_pixel};
}

std::vector<std::int64_t> nearest_indices(const EvalContext& ctx, std::int64_t in, std::int64_t out) {
  const Mapping map = mapping(ctx.attrs(), in, out);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) {
    const float at = map.half_pixel ? (static_cast<float>(i) + 0.5f) * map.scale : map(i);
    const auto index = static_cast<std::int64_t>(align_corners(ctx.attrs()) ? std::round(at) : std::floor(at));
    indices[static_cast<std::size_t>(i)] = std::clamp<std::int64_t>(index, 0, in - 1);
  }
  return indices;
}

void evaluate_nearest(EvalContext& ctx) {
  const Shape shape = resized_shape(ctx);
  const Tensor rows = take(ctx.input(0), 1, nearest_indices(ctx, ctx.input(0).dim(1), shape[1]));
  ctx.set_output(0, take(rows, 2, nearest_indices(ctx, rows.dim(2), shape[2])));
}

// Blends rows and columns of `images` to float32 [N, rows, columns, C].
void blend(EvalContext& ctx, const Tensor& images, const Blends& rows, const Blends& columns) {
  const std::int64_t channels = images.dim(3), width = images.dim(2);
  const auto height_out = static_cast<std::int64_t>(rows.size()), width_out = static_cast<std::int64_t>(columns.size());
  Tensor output(DataType::kFloat32, Shape{images.dim(0), height_out, width_out, channels});
  float* y = output.flat<float>().data();
  visit_dtype(RealNumbers{}, images.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = images.flat<T>().data();
    for_shares(ctx.team(), images.dim(0) * height_out, 8, [&](std::int64_t first, std::int64_t last) {
      std::vector<double> line(static_cast<std::size_t>(width * channels));
      for (std::int64_t at = first; at < last; ++at) {
        const Blend& row = rows[static_cast<std::size_t>(at % height_out)];
        std::ranges::fill(line, 0.0);
        for (std::size_t k = 0; k < row.indices.size(); ++k) {
          const T* source = x + (at / height_out * images.dim(1) + row.indices[k]) * width * channels;
          for (std::size_t i = 0; i < line.size(); ++i)
            line[i] += row.weights[k] * static_cast<double>(static_cast<ComputeType<T>>(source[i]));
        }
        for (std::int64_t o = 0; o < width_out; ++o) {
          const Blend& column = columns[static_cast<std::size_t>(o)];
          for (std::int64_t c = 0; c < channels; ++c) {
            double sum = 0;
            for (std::size_t k = 0; k < column.indices.size(); ++k) {
              sum += column.weights[k] * line[static_cast<std::size_t>(column.indices[k] * channels + c)];
            }
            y[(at * width_out + o) * channels + c] = static_cast<float>(sum);
          }
        }
      }
    });
  });
  ctx.set_output(0, std::move(output));
}

Blends bilinear_blends(const ir::Attrs& attrs, std::int64_t in, std::int64_t out) {
  const Mapping map = mapping(attrs, in, out);
  Blends blends;
  for (std::int64_t i = 0; i < out; ++i) {
    const float at = map(i), floor = std::floor(at);
    const auto lower = std::clamp<std::int64_t>(static_cast<std::int64_t>(floor), 0, in - 1);
    const auto upper = std::clamp<std::int64_t>(static_cast<std::int64_t>(std::ceil(at)), 0, in - 1);
    const double part = at - floor;
    if (lower == upper) {
      blends.push_back({{lower}, {1.0}});
    } else {
      blends.push_back({{lower, upper}, {1.0 - part, part}});
    }
  }
  return blends;
}

// Keys' cubic kernel with parameter a, at distance x < 2.
double cubic(double x, double a) {
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

// TensorFlow rounds the position between two pixels to 1/1024. With half-pixel centers pixels outside do not count; else the
// border pixel stands in for them.
Blends bicubic_blends(const ir::Attrs& attrs, std::int64_t in, std::int64_t out) {
  constexpr double kSteps = 1024;
  const Mapping map = mapping(attrs, in, out);
  Blends blends;
  for (std::int64_t i = 0; i < out; ++i) {
    const float at = map(i);
    const auto floor = static_cast<std::int64_t>(std::floor(at));
    const double part = static_cast<double>(std::lrintf((at - static_cast<float>(floor)) * 1024.0f)) / kSteps;
    const double distances[] = {1 + part, part, 1 - part, 2 - part};
    Blend blend;
    double total = 0;
    for (int k = 0; k < 4; ++k) {
      const std::int64_t wanted = floor - 1 + k, index = std::clamp<std::int64_t>(wanted, 0, in - 1);
      if (map.half_pixel && index != wanted) continue;
      blend.indices.push_back(index);
      blend.weights.push_back(cubic(distances[k], map.half_pixel ? -0.5 : -0.75));
      total += blend.weights.back();
    }
    if (map.half_pixel && std::abs(total) >= 1000.0 * std::numeric_limits<float>::min()) {
      for (double& weight : blend.weights) weight /= total;
    }
    blends.push_back(std::move(blend));
  }
  return blends;
}

// Every input pixel counts by how much of it the output pixel covers.
Blends area_blends(const ir::Attrs& attrs, std::int64_t in, std::int64_t out) {
  const float scale = mapping(attrs, in, out).scale;
  if (scale == 0) return Blends(static_cast<std::size_t>(out), {{0}, {1.0}});  // one pixel with aligned corners
  Blends blends;
  for (std::int64_t i = 0; i < out; ++i) {
    const float from = static_cast<float>(i) * scale, to = static_cast<float>(i + 1) * scale;
    Blend blend;
    for (auto k = static_cast<std::int64_t>(std::floor(from)); k < static_cast<std::int64_t>(std::ceil(to)); ++k) {
      const auto left = static_cast<float>(k), right = static_cast<float>(k + 1);
      const float covered = left < from ? (right > to ? scale : right - from) : (right > to ? to - left : 1.0f);
      blend.indices.push_back(std::clamp<std::int64_t>(k, 0, in - 1));
      blend.weights.push_back(covered / scale);
    }
    blends.push_back(std::move(blend));
  }
  return blends;
}

void evaluate_blended(EvalContext& ctx) {
  const Shape shape = resized_shape(ctx);
  const Tensor images = ctx.input(0);
  const std::string_view op = ctx.node().op->name;
  blend(ctx, images, resize_blends(op, ctx.attrs(), images.dim(1), shape[1]), resize_blends(op, ctx.attrs(), images.dim(2), shape[2]));
}

// scale_and_translate: images, size, scale [2], translation [2]; attributes kernel_type and antialias.
struct Kernel {
  float radius;
  float (*weight)(float distance, float radius);
};

float lanczos(float x, float radius) {
  constexpr float kPi = std::numbers::pi_v<float>;
  if (x > radius) return 0;
  if (x <= 1e-3f) return 1;
  return radius * std::sin(kPi * x) * std::sin(kPi * x / radius) / (kPi * kPi * x * x);
}
float gaussian(float x, float radius) {
  const float sigma = radius / 3;
  return x >= radius ? 0 : std::exp(-x * x / (2 * sigma * sigma));
}
float box(float x, float) { return x < 0.5f ? 1.0f : x == 0.5f ? 0.5f : 0.0f; }
float triangle(float x, float) { return x < 1 ? 1 - x : 0; }
float keys_cubic(float x, float) { return x >= 2 ? 0 : static_cast<float>(cubic(x, -0.5)); }
float mitchell_cubic(float x, float) {
  if (x >= 2) return 0;
  if (x >= 1) return ((-7.0f / 18.0f * x + 2.0f) * x - 10.0f / 3.0f) * x + 16.0f / 9.0f;
  return ((7.0f / 6.0f * x - 2.0f) * x) * x + 8.0f / 9.0f;
}

Kernel kernel_of(const ir::Attrs& attrs) {
  const auto name = attrs.get_or<std::string>("kernel_type", "lanczos3");
  if (name == "lanczos1") return {1, lanczos};
  if (name == "lanczos3") return {3, lanczos};
  if (name == "lanczos5") return {5, lanczos};
  if (name == "gaussian") return {1.5f, gaussian};
  if (name == "box") return {0.5f, box};
  if (name == "triangle") return {1, triangle};
  if (name == "keyscubic") return {2, keys_cubic};
  if (name == "mitchellcubic") return {2, mitchell_cubic};
  fail(ErrorCode::kInvalidModel, "kernel_type \"{}\" is unknown", name);
}

Blends kernel_blends(const Kernel& kernel, bool antialias, std::int64_t in, std::int64_t out, float scale,
                     float translation) {
  const float step = 1.0f / scale, origin = -step * translation;
  const float stretch = antialias ? std::max(step, 1.0f) : 1.0f;
  const float reach = kernel.radius * stretch;
  Blends blends(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) {
    const float center = (static_cast<float>(i) + 0.5f) * step + origin;
    if (!(center >= 0 && center <= static_cast<float>(in))) continue;
    const float most = static_cast<float>(in - 1);
    const auto first = static_cast<std::int64_t>(std::clamp(std::ceil(center - reach - 0.5f), 0.0f, most));
    const auto last = static_cast<std::int64_t>(std::clamp(std::floor(center + reach - 0.5f), 0.0f, most));
    Blend& blend = blends[static_cast<std::size_t>(i)];
    double total = 0;
    for (std::int64_t k = first; k <= last; ++k) {
      blend.indices.push_back(k);
      blend.weights.push_back(kernel.weight(std::abs((static_cast<float>(k) + 0.5f - center) / stretch), kernel.radius));
      total += blend.weights.back();
    }
    if (std::abs(total) < 1000.0 * std::numeric_limits<float>::min()) {
      blend = {};
      continue;
    }
    for (double& weight : blend.weights) weight /= total;
  }
  return blends;
}

void evaluate_scale_and_translate(EvalContext& ctx) {
  const Shape shape = resized_shape(ctx);
  const Tensor images = ctx.input(0);
  const auto scale = ctx.input(2).flat<float>(), translation = ctx.input(3).flat<float>();
  if (scale.size() != 2 || translation.size() != 2) ctx.fail_node("scale and translation must have 2 numbers");
  if (!(scale[0] > 0) || !(scale[1] > 0)) ctx.fail_node("the scale must be positive, it is {} and {}", scale[0], scale[1]);
  blend(ctx, images, scaled_blends(ctx.attrs(), images.dim(1), shape[1], scale[0], translation[0]),
        scaled_blends(ctx.attrs(), images.dim(2), shape[2], scale[1], translation[1]));
}

constexpr ir::OpDef kOps[] = {
    {"resize_nearest", infer_resize<false>, evaluate_nearest},
    {"resize_bilinear", infer_resize<true>, evaluate_blended},
    {"resize_bicubic", infer_resize<true>, evaluate_blended},
    {"resize_area", infer_resize<true>, evaluate_blended},
    {"scale_and_translate", infer_resize<true>, evaluate_scale_and_translate},
};

constexpr ImportRule kRules[] = {
    {"ResizeNearestNeighbor", "resize_nearest"},  {"ResizeBilinear", "resize_bilinear"},
    {"ResizeBicubic", "resize_bicubic"},          {"ResizeArea", "resize_area"},
    {"ScaleAndTranslate", "scale_and_translate"},
};

}  // namespace

Blends resize_blends(std::string_view op, const ir::Attrs& attrs, std::int64_t in, std::int64_t out) {
  if (op == "resize_bicubic") return bicubic_blends(attrs, in, out);
  return op == "resize_area" ? area_blends(attrs, in, out) : bilinear_blends(attrs, in, out);
}

Blends scaled_blends(const ir::Attrs& attrs, std::int64_t in, std::int64_t out, float scale, float translation) {
  return kernel_blends(kernel_of(attrs), attrs.get_or<bool>("antialias", true), in, out, scale, translation);
}

const OpFamily& resize_family() {
  static const OpFamily family{"resize", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
