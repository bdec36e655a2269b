// Colours of images, patches, crops and projective transformations.
#include <algorithm>
#include <cmath>

#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/operands.h"
#include "ops/registry.h"
#include "ops/walk.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

void infer_same(InferContext& ctx) { ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0)); }

struct Pixel {
  double x, y, z;  // red, green, blue, or hue, saturation, value
};

Pixel to_hsv(const Pixel& rgb) {
  const auto [r, g, b] = rgb;
  const double value = std::max({r, g, b}), range = value - std::min({r, g, b});
  double hue = 0;
  if (range > 0) {
    const double norm = 1.0 / (6.0 * range);
    hue = r == value ? norm * (g - b) : g == value ? norm * (b - r) + 2.0 / 6.0 : norm * (r - g) + 4.0 / 6.0;
    if (hue < 0) hue += 1;
  }
  return {hue, value > 0 ? range / value : 0.0, value};
}

// How strong red, green and blue are, 0 to 1, for a hue.
Pixel ramps(double hue) {
  const double at = hue * 6;
  return {std::clamp(std::abs(at - 3) - 1, 0.0, 1.0), std::clamp(2 - std::abs(at - 2), 0.0, 1.0),
          std::clamp(2 - std::abs(at - 4), 0.0, 1.0)};
}

Pixel to_rgb(const Pixel& hsv) {
  const Pixel ramp = ramps(hsv.x);
  const double rest = 1 - hsv.y;
  return {(rest + hsv.y * ramp.x) * hsv.z, (rest + hsv.y * ramp.y) * hsv.z, (rest + hsv.y * ramp.z) * hsv.z};
}

// Output 0: `f` of every pixel of operand 0, whose last axis holds three channels.
template <class F>
void map_pixels(EvalContext& ctx, F&& f) {
  const Tensor input = ctx.input(0);
  if (input.rank() < 1 || input.dim(input.rank() - 1) != 3)
    ctx.fail_node("three channels are needed, found {}", input.describe());
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  visit_dtype(Floats{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = ComputeType<T>;
    const auto x = input.flat<T>();
    auto y = output.flat<T>();
    for (std::size_t i = 0; i + 3 <= x.size(); i += 3) {
      const Pixel pixel = f(Pixel{static_cast<C>(x[i]), static_cast<C>(x[i + 1]), static_cast<C>(x[i + 2])});
      y[i] = static_cast<T>(static_cast<C>(pixel.x));
      y[i + 1] = static_cast<T>(static_cast<C>(pixel.y));
      y[i + 2] = static_cast<T>(static_cast<C>(pixel.z));
    }
  });
}

void evaluate_rgb_to_hsv(EvalContext& ctx) { map_pixels(ctx, to_hsv); }
void evaluate_hsv_to_rgb(EvalContext& ctx) { map_pixels(ctx, to_rgb); }

double scalar_float(EvalContext& ctx, int i) {
  const auto values = ctx.input(i).flat<float>();
  if (values.size() != 1 || ctx.input(i).rank() != 0)
    ctx.fail_node("input {} must be a scalar, it is {}", i, ctx.input(i).describe());
  return values[0];
}

void check_image(EvalContext& ctx) {
  if (ctx.input(0).rank() < 3) ctx.fail_node("images need rank 3 or more, found {}", ctx.input(0).describe());
}

// adjust_hue: images, delta (turns). adjust_saturation: images, factor. adjust_contrast: images, factor (around each
// channel's mean over the image).
void evaluate_adjust_hue(EvalContext& ctx) {
  check_image(ctx);
  const double delta = scalar_float(ctx, 1);
  map_pixels(ctx, [&](const Pixel& rgb) {
    const double value = std::max({rgb.x, rgb.y, rgb.z}), least = std::min({rgb.x, rgb.y, rgb.z});
    const double turned = to_hsv(rgb).x + delta;
    const Pixel ramp = ramps(turned - std::floor(turned));
    return Pixel{least + (value - least) * ramp.x, least + (value - least) * ramp.y, least + (value - least) * ramp.z};
  });
}

void evaluate_adjust_saturation(EvalContext& ctx) {
  check_image(ctx);
  const double factor = scalar_float(ctx, 1);
  map_pixels(ctx, [&](const Pixel& rgb) {
    Pixel hsv = to_hsv(rgb);
    hsv.y = std::clamp(hsv.y * factor, 0.0, 1.0);
    return to_rgb(hsv);
  });
}

void evaluate_adjust_contrast(EvalContext& ctx) {
  check_image(ctx);
  const Tensor input = ctx.input(0);
  const double factor = scalar_float(ctx, 1);
  const std::int64_t channels = input.dim(input.rank() - 1),
                     pixels = input.dim(input.rank() - 2) * input.dim(input.rank() - 3);
  Tensor& output = ctx.allocate(0, input.dtype(), input.shape());
  if (output.num_elements() == 0) return;
  visit_dtype(TypeList<float, Half>{}, input.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* x = input.flat<T>().data();
    T* y = output.flat<T>().data();
    for (std::int64_t image = 0; image < input.num_elements(); image += pixels * channels) {
      for (std::int64_t c = 0; c < channels; ++c) {
        double mean = 0;
        for (std::int64_t p = 0; p < pixels; ++p) mean += static_cast<float>(x[image + p * channels + c]);
        mean /= static_cast<double>(pixels);
        for (std::int64_t p = 0; p < pixels; ++p) {
          const std::int64_t at = image + p * channels + c;
          y[at] =
              static_cast<T>(static_cast<float>((static_cast<double>(static_cast<float>(x[at])) - mean) * factor + mean));
        }
      }
    }
  });
}

// extract_image_patches: images [N,H,W,C] -> [N, rows, columns, kh * kw * C]; attributes ksizes, strides, rates, padding.
struct PatchAttrs {
  ConvAttrs window;
  std::vector<std::int64_t> sizes;
};

PatchAttrs patch_attrs(const ir::Attrs& attrs) {
  const PerDimension sizes = per_dimension(attrs, "ksizes", 2), strides = per_dimension(attrs, "strides", 2),
                     rates = per_dimension(attrs, "rates", 2);
  for (const PerDimension* list : {&sizes, &strides, &rates}) {
    if (list->batch != 1 || list->channel != 1)
      fail(ErrorCode::kInvalidModel, "patches reach over the batch or the channels");
  }
  PatchAttrs patch;
  patch.sizes = sizes.spatial;
  patch.window.strides = strides.spatial;
  patch.window.dilations = rates.spatial;
  read_padding(attrs, 2, patch.window);
  return patch;
}

void infer_extract_image_patches(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.expect_rank(0, 4);
  const PatchAttrs patch = patch_attrs(ctx.attrs());
  PartialShape shape = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(4);
  for (int i = 0; i < 2; ++i)
    shape[i + 1] = window_count(ctx, patch.window, i, shape[i + 1], patch.sizes[static_cast<std::size_t>(i)]);
  shape[3] = multiply(ctx, shape[3], patch.sizes[0] * patch.sizes[1]);
  ctx.set_output(0, ctx.input_dtype(0), std::move(shape));
}

void evaluate_extract_image_patches(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  const Tensor input = ctx.input(0);
  const PatchAttrs patch = patch_attrs(ctx.attrs());
  const WindowGeometry window(patch.window, input.shape(), patch.sizes);
  std::int64_t depth = 0;
  const std::int64_t channels = input.dim(3);
  if (__builtin_mul_overflow(window.taps(), channels, &depth)) ctx.fail_node("the patches are too large");
  Tensor& output = ctx.allocate(0, input.dtype(), Shape{input.dim(0), window.out[1], window.out[2], depth});
  set_zero(output);
  for (std::int64_t at = 0; at < input.dim(0) * window.positions_out(); ++at) {
    const std::int64_t image = at / window.positions_out() * window.positions_in();
    window.for_taps(at % window.positions_out(), [&](std::int64_t tap, std::int64_t position) {
      copy_range(output, at * depth + tap * channels, input, (image + position) * channels, channels);
    });
  }
}

// crop_and_resize: images [N,H,W,C], boxes [M,4] (y1, x1, y2, x2 as parts of the image), image of each box [M], size [2].
void infer_crop_and_resize(InferContext& ctx) {
  ctx.expect_inputs(4);
  const int ranks[] = {4, 2, 1, 1};
  for (int i = 0; i < 4; ++i) ctx.expect_rank(i, ranks[i]);
  const auto size = ctx.dims(3);
  if (size && size->size() != 2) ctx.fail_node("crop_size has {} numbers, 2 are needed", size->size());
  PartialShape shape = ctx.fresh_shape(4);
  if (ctx.input_shape(1).known_rank()) shape[0] = ctx.input_shape(1)[0];
  if (size) shape[1] = (*size)[0];
  if (size) shape[2] = (*size)[1];
  if (ctx.input_shape(0).known_rank()) shape[3] = ctx.input_shape(0)[3];
  ctx.set_output(0, DataType::kFloat32, std::move(shape));
}

// Positions of a crop's pixels along one axis of `size` pixels, for the part of the image from `low` to `high`.
std::vector<float> crop_positions(float low, float high, std::int64_t size, std::int64_t count) {
  const auto most = static_cast<float>(size - 1);
  std::vector<float> positions(static_cast<std::size_t>(count), 0.5f * (low + high) * most);
  const float step = count > 1 ? (high - low) * most / static_cast<float>(count - 1) : 0.0f;
  for (std::int64_t i = 0; i < count && count > 1; ++i)
    positions[static_cast<std::size_t>(i)] = low * most + static_cast<float>(i) * step;
  return positions;
}

template <class T>
float crop_pixel(const T* image, std::int64_t width, std::int64_t channels, float y, float x, std::int64_t channel,
                 bool nearest) {
  const auto read = [&](float row, float column) {
    const std::int64_t at =
        (static_cast<std::int64_t>(row) * width + static_cast<std::int64_t>(column)) * channels + channel;
    return static_cast<float>(static_cast<ComputeType<T>>(image[at]));
  };
  if (nearest) return read(std::round(y), std::round(x));
  const float top = std::floor(y), left = std::floor(x), bottom = std::ceil(y), right = std::ceil(x);
  const float upper = read(top, left) + (read(top, right) - read(top, left)) * (x - left);
  const float lower = read(bottom, left) + (read(bottom, right) - read(bottom, left)) * (x - left);
  return upper + (lower - upper) * (y - top);
}

void evaluate_crop_and_resize(EvalContext& ctx) {
  const int ranks[] = {4, 2, 1, 1};
  for (int i = 0; i < 4; ++i) expect_rank(ctx, i, ranks[i]);
  const Tensor images = ctx.input(0);
  const std::vector<std::int64_t> image_of = ctx.integers(2), size = ctx.integers(3);
  const std::int64_t height = images.dim(1), width = images.dim(2), channels = images.dim(3), count = ctx.input(1).dim(0);
  if (size.size() != 2 || size[0] < 1 || size[1] < 1) ctx.fail_node("crop_size must be two positive numbers");
  if (ctx.input(1).dim(1) != 4 || static_cast<std::int64_t>(image_of.size()) != count) {
    ctx.fail_node("boxes are {} for {} image numbers", ctx.input(1).describe(), image_of.size());
  }
  if (height < 1 || width < 1) ctx.fail_node("images {} have no pixels", images.describe());
  for (std::int64_t image : image_of) {
    if (image < 0 || image >= images.dim(0)) ctx.fail_node("box of image {}, there are {}", image, images.dim(0));
  }
  const auto method = ctx.attrs().get_or<std::string>("method", "bilinear");
  if (method != "bilinear" && method != "nearest") ctx.fail_node("method \"{}\" is neither bilinear nor nearest", method);
  const float outside = ctx.attrs().get_or<float>("extrapolation_value", 0.0f);
  const auto boxes = ctx.input(1).flat<float>();
  Tensor& output = ctx.allocate(0, DataType::kFloat32, Shape{count, size[0], size[1], channels});
  visit_dtype(RealNumbers{}, images.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    float* y = output.flat<float>().data();
    for (std::int64_t b = 0; b < count; ++b) {
      const float* box = boxes.data() + b * 4;
      const T* image = images.flat<T>().data() + image_of[static_cast<std::size_t>(b)] * height * width * channels;
      const std::vector<float> columns = crop_positions(box[1], box[3], width, size[1]);
      for (float row : crop_positions(box[0], box[2], height, size[0])) {
        for (float column : columns) {
          const bool inside =
              row >= 0 && row <= static_cast<float>(height - 1) && column >= 0 && column <= static_cast<float>(width - 1);
          for (std::int64_t c = 0; c < channels; ++c)
            *y++ = inside ? crop_pixel(image, width, channels, row, column, c, method == "nearest") : outside;
        }
      }
    }
  });
}

// image_projective_transform: images, transforms [N or 1, 8], size [2], perhaps the fill value.
void infer_projective_transform(InferContext& ctx) {
  ctx.expect_inputs(3, 4);
  ctx.expect_rank(0, 4);
  const auto size = ctx.dims(2);
  if (size && size->size() != 2) ctx.fail_node("output_shape has {} numbers, 2 are needed", size->size());
  PartialShape shape = ctx.input_shape(0).known_rank() ? ctx.input_shape(0) : ctx.fresh_shape(4);
  for (int i = 0; i < 2; ++i) shape[i + 1] = size ? (*size)[static_cast<std::size_t>(i)] : ctx.fresh();
  ctx.set_output(0, ctx.input_dtype(0), std::move(shape));
}

enum class FillMode { kConstant, kReflect, kWrap, kNearest };

FillMode fill_mode(const ir::Attrs& attrs) {
  const auto name = attrs.get_or<std::string>("fill_mode", "CONSTANT");
  if (name == "CONSTANT") return FillMode::kConstant;
  if (name == "REFLECT") return FillMode::kReflect;
  if (name == "WRAP") return FillMode::kWrap;
  if (name == "NEAREST") return FillMode::kNearest;
  fail(ErrorCode::kInvalidModel, "fill_mode \"{}\" is unknown", name);
}

// A coordinate brought into an axis of `size` pixels.
float fold_coordinate(FillMode mode, float at, std::int64_t size) {
  const auto length = static_cast<float>(size);
  if (mode == FillMode::kConstant) return at;
  if (mode == FillMode::kReflect && size > 1) {
    const float period = 2 * length;
    if (at < 0) {
      at += period * std::trunc(-at / period);
      at = at < -length ? at + period : -at - 1;
    } else if (at > length - 1) {
      at -= period * std::trunc(at / period);
      if (at >= length) at = period - at - 1;
    }
  } else if (mode == FillMode::kWrap && size > 1) {
    if (at < 0) {
      at += length * (std::trunc(-at / (length - 1)) + 1);
    } else if (at > length - 1) {
      at -= length * std::trunc(at / (length - 1));
    }
  }
  return std::clamp(at, 0.0f, length - 1);
}

template <class T>
struct Sampler {
  const T* image;
  std::int64_t height, width, channels;
  float fill;

  float read(float row, float column, std::int64_t channel) const {
    if (!(row >= 0 && column >= 0 && row < static_cast<float>(height) && column < static_cast<float>(width))) return fill;
    const std::int64_t at =
        (static_cast<std::int64_t>(row) * width + static_cast<std::int64_t>(column)) * channels + channel;
    return static_cast<float>(static_cast<ComputeType<T>>(image[at]));
  }
  float bilinear(float y, float x, std::int64_t channel) const {
    const float top = std::floor(y), left = std::floor(x);
    const float upper = (left + 1 - x) * read(top, left, channel) + (x - left) * read(top, left + 1, channel);
    const float lower = (left + 1 - x) * read(top + 1, left, channel) + (x - left) * read(top + 1, left + 1, channel);
    return (top + 1 - y) * upper + (y - top) * lower;
  }
};

void evaluate_projective_transform(EvalContext& ctx) {
  expect_rank(ctx, 0, 4);
  expect_rank(ctx, 1, 2);
  const Tensor images = ctx.input(0), transforms = ctx.input(1);
  const Shape size = shape_operand(ctx, 2);
  if (size.rank() != 2 || size[0] < 1 || size[1] < 1) ctx.fail_node("output_shape must be two positive numbers");
  if (transforms.dim(1) != 8 || (transforms.dim(0) != 1 && transforms.dim(0) != images.dim(0))) {
    ctx.fail_node("transforms are {} for {}", transforms.describe(), images.describe());
  }
  const float fill = ctx.num_inputs() == 4 ? static_cast<float>(scalar_float(ctx, 3)) : 0.0f;
  const FillMode mode = fill_mode(ctx.attrs());
  const auto interpolation = ctx.attrs().get<std::string>("interpolation");
  if (interpolation != "NEAREST" && interpolation != "BILINEAR")
    ctx.fail_node("interpolation \"{}\" is unknown", interpolation);
  const std::int64_t height = images.dim(1), width = images.dim(2), channels = images.dim(3);
  if (height < 1 || width < 1) ctx.fail_node("images {} have no pixels", images.describe());
  Tensor& output = ctx.allocate(0, images.dtype(), Shape{images.dim(0), size[0], size[1], channels});
  visit_dtype(RealNumbers{}, images.dtype(), ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = output.flat<T>().data();
    for (std::int64_t n = 0; n < images.dim(0); ++n) {
      const Sampler<T> sampler{images.flat<T>().data() + n * height * width * channels, height, width, channels, fill};
      const float* t = transforms.flat<float>().data() + (transforms.dim(0) == 1 ? 0 : n * 8);
      for (std::int64_t i = 0; i < size[0] * size[1]; ++i) {
        const auto y = static_cast<float>(i / size[1]), x = static_cast<float>(i % size[1]);
        const float projection = t[6] * x + t[7] * y + 1;
        const float column = fold_coordinate(mode, (t[0] * x + t[1] * y + t[2]) / projection, width);
        const float row = fold_coordinate(mode, (t[3] * x + t[4] * y + t[5]) / projection, height);
        for (std::int64_t c = 0; c < channels; ++c) {
          const float value = projection == 0              ? fill
                              : interpolation == "NEAREST" ? sampler.read(std::round(row), std::round(column), c)
                                                           : sampler.bilinear(row, column, c);
          *to++ = static_cast<T>(static_cast<ComputeType<T>>(value));
        }
      }
    }
  });
}

constexpr ir::OpDef kOps[] = {
    {"rgb_to_hsv", infer_same, evaluate_rgb_to_hsv},
    {"hsv_to_rgb", infer_same, evaluate_hsv_to_rgb},
    {"adjust_hue", infer_same, evaluate_adjust_hue},
    {"adjust_saturation", infer_same, evaluate_adjust_saturation},
    {"adjust_contrast", infer_same, evaluate_adjust_contrast},
    {"extract_image_patches", infer_extract_image_patches, evaluate_extract_image_patches},
    {"crop_and_resize", infer_crop_and_resize, evaluate_crop_and_resize},
    {"image_projective_transform", infer_projective_transform, evaluate_projective_transform},
};

constexpr ImportRule kRules[] = {
    {"RGBToHSV", "rgb_to_hsv"},
    {"HSVToRGB", "hsv_to_rgb"},
    {"AdjustHue", "adjust_hue"},
    {"AdjustSaturation", "adjust_saturation"},
    {"AdjustContrastv2", "adjust_contrast"},
    {"ExtractImagePatches", "extract_image_patches"},
    {"CropAndResize", "crop_and_resize"},
    {"ImageProjectiveTransformV2", "image_projective_transform"},
    {"ImageProjectiveTransformV3", "image_projective_transform"},
};

}  // namespace

const OpFamily& image_family() {
  static const OpFamily family{"image", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
