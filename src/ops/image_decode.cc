// Encoded images to tensors [height, width, channels], animations to [frames, height, width, 3].
#include <algorithm>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/image_codecs.h"
#include "ops/registry.h"
#include "ops/string_elements.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

enum class Decoder { kJpeg, kPng, kGif, kBmp, kAny };

template <Decoder kDecoder>
void infer_decode(InferContext& ctx) {
  const auto dtype = ctx.attrs().get_or<DataType>("dtype", DataType::kUInt8);
  const auto channels = ctx.attrs().get_or<std::int64_t>("channels", 0);
  const bool animated = kDecoder == Decoder::kAny && ctx.attrs().get_or<bool>("expand_animations", true);
  if (animated) return ctx.set_output(0, dtype, {});
  const Dim depth = channels > 0 ? Dim(channels) : kDecoder == Decoder::kGif ? Dim(3) : ctx.fresh();
  PartialShape shape{ctx.fresh(), ctx.fresh(), depth};
  if (kDecoder == Decoder::kGif) shape = PartialShape{ctx.fresh(), ctx.fresh(), ctx.fresh(), depth};
  ctx.set_output(0, dtype, std::move(shape));
}

JpegOptions jpeg_options(const EvalContext& ctx, int channels) {
  JpegOptions options;
  options.channels = channels;
  options.ratio = static_cast<int>(std::clamp<std::int64_t>(ctx.attrs().get_or<std::int64_t>("ratio", 1), 0, 100));
  options.fancy_upscaling = ctx.attrs().get_or<bool>("fancy_upscaling", true);
  options.try_recover_truncated = ctx.attrs().get_or<bool>("try_recover_truncated", false);
  options.acceptable_fraction = ctx.attrs().get_or<float>("acceptable_fraction", 1.0f);
  const auto method = ctx.attrs().get_or<std::string>("dct_method", "");
  if (!method.empty() && method != "INTEGER_FAST" && method != "INTEGER_ACCURATE") ctx.fail_node("dct_method is \"{}\"", method);
  options.fast_transform = method != "INTEGER_ACCURATE";  // TensorFlow's builds take the fast one when nothing is asked for
  return options;
}

Image decode(const EvalContext& ctx, Decoder decoder, const std::string& bytes, bool wide) {
  const auto wanted = ctx.attrs().get_or<std::int64_t>("channels", 0);
  if (wanted < 0 || wanted > 4 || wanted == 2) ctx.fail_node("channels is {}; 0, 1, 3 and 4 are possible", wanted);
  const int channels = static_cast<int>(wanted);
  const ImageFormat format = image_format(bytes);
  if (decoder == Decoder::kBmp && format != ImageFormat::kBmp) ctx.fail_node("the file is no BMP");
  if (decoder == Decoder::kBmp && channels == 1) ctx.fail_node("channels is 1; 0, 3 and 4 are possible for a BMP");
  switch (format) {
    case ImageFormat::kJpeg:
      return decode_jpeg(bytes, jpeg_options(ctx, channels));
    case ImageFormat::kPng:
      return decode_png(bytes, channels, wide);
    case ImageFormat::kGif:
      if (channels == 1 || channels == 4) ctx.fail_node("a GIF has 3 channels, {} were asked for", channels);
      return decode_gif(bytes);
    case ImageFormat::kBmp:
      if (decoder == Decoder::kBmp || decoder == Decoder::kAny) return decode_bmp(bytes, channels);
      [[fallthrough]];
    default:
      ctx.fail_node("the file is of no image format that the op reads");
  }
}

// Samples as the result's dtype: 8-bit ones times 256 as 16-bit ones, floats in [0, 1].
void store(EvalContext& ctx, const Image& image, Shape shape, DataType dtype) {
  Tensor& out = ctx.allocate(0, dtype, std::move(shape));
  const auto count = static_cast<std::size_t>(out.num_elements());
  if (dtype == DataType::kUInt8) {
    std::copy_n(image.narrow.begin(), count, out.flat<std::uint8_t>().begin());
  } else if (dtype == DataType::kUInt16 && image.wide) {
    std::copy_n(image.samples.begin(), count, out.flat<std::uint16_t>().begin());
  } else if (dtype == DataType::kUInt16) {
    std::transform(image.narrow.begin(), image.narrow.begin() + static_cast<std::ptrdiff_t>(count), out.flat<std::uint16_t>().begin(),
                   [](std::uint8_t v) { return static_cast<std::uint16_t>(v * 256); });
  } else if (dtype == DataType::kFloat32) {
    const auto to = out.flat<float>();
    for (std::size_t i = 0; i < count; ++i) {
      to[i] = image.wide ? static_cast<float>(image.samples[i]) * (1.0f / 65535) : static_cast<float>(image.narrow[i]) * (1.0f / 255);
    }
  } else {
    ctx.fail_node("dtype is {}; uint8, uint16 and float32 are possible", dtype_name(dtype));
  }
}

template <Decoder kDecoder>
void evaluate_decode(EvalContext& ctx) {
  const auto dtype = ctx.attrs().get_or<DataType>("dtype", DataType::kUInt8);
  const Image image = decode(ctx, kDecoder, string_scalar(ctx, 0), dtype != DataType::kUInt8);
  const bool animation = image_format(string_scalar(ctx, 0)) == ImageFormat::kGif;
  const bool expand = kDecoder == Decoder::kAny && ctx.attrs().get_or<bool>("expand_animations", true);
  if (kDecoder == Decoder::kGif || (animation && expand)) return store(ctx, image, {image.frames, image.height, image.width, image.channels}, dtype);
  if (kDecoder != Decoder::kAny && image.frames > 1) ctx.fail_node("the GIF has {} frames, one is expected", image.frames);
  store(ctx, image, {image.height, image.width, image.channels}, dtype);
}

// Operands: file, window [top, left, height, width].
void infer_decode_and_crop(InferContext& ctx) {
  const auto channels = ctx.attrs().get_or<std::int64_t>("channels", 0);
  const auto window = ctx.constant_integers(1);
  const bool known = window && window->size() == 4 && (*window)[2] >= 0 && (*window)[3] >= 0;
  ctx.set_output(0, DataType::kUInt8, PartialShape{known ? Dim((*window)[2]) : ctx.fresh(), known ? Dim((*window)[3]) : ctx.fresh(),
                                                   channels > 0 ? Dim(channels) : ctx.fresh()});
}

void evaluate_decode_and_crop(EvalContext& ctx) {
  const auto channels = static_cast<int>(std::clamp<std::int64_t>(ctx.attrs().get_or<std::int64_t>("channels", 0), -1, 5));
  const Image image = decode_jpeg(string_scalar(ctx, 0), jpeg_options(ctx, channels));
  const std::vector<std::int64_t> window = ctx.integers(1);
  if (window.size() != 4) ctx.fail_node("the window has {} numbers, 4 are needed", window.size());
  const std::int64_t top = window[0], left = window[1], height = window[2], width = window[3];
  if (top < 0 || left < 0 || height <= 0 || width <= 0 || top > image.height - height || left > image.width - width) {
    ctx.fail_node("the window {},{} {}x{} is outside the image of {}x{}", top, left, height, width, image.height, image.width);
  }
  Tensor& out = ctx.allocate(0, DataType::kUInt8, {height, width, image.channels});
  auto to = out.flat<std::uint8_t>().begin();
  for (std::int64_t y = top; y < top + height; ++y) {
    to = std::copy_n(image.narrow.begin() + (y * image.width + left) * image.channels, width * image.channels, to);
  }
}

void infer_jpeg_shape(InferContext& ctx) { ctx.set_output(0, ctx.attrs().get_or<DataType>("output_type", DataType::kInt32), Shape{3}); }

void evaluate_jpeg_shape(EvalContext& ctx) {
  const Image image = read_jpeg_header(string_scalar(ctx, 0));
  const std::int64_t sizes[] = {image.height, image.width, image.channels};
  const auto type = ctx.attrs().get_or<DataType>("output_type", DataType::kInt32);
  Tensor& out = ctx.allocate(0, type, {3});
  for (std::size_t i = 0; i < 3; ++i) {
    if (type == DataType::kInt64) {
      out.flat<std::int64_t>()[i] = sizes[i];
    } else {
      out.flat<std::int32_t>()[i] = static_cast<std::int32_t>(sizes[i]);
    }
  }
}

constexpr ir::OpDef kOps[] = {
    {"decode_jpeg", infer_decode<Decoder::kJpeg>, evaluate_decode<Decoder::kJpeg>},
    {"decode_png", infer_decode<Decoder::kPng>, evaluate_decode<Decoder::kPng>},
    {"decode_gif", infer_decode<Decoder::kGif>, evaluate_decode<Decoder::kGif>},
    {"decode_bmp", infer_decode<Decoder::kBmp>, evaluate_decode<Decoder::kBmp>},
    {"decode_image", infer_decode<Decoder::kAny>, evaluate_decode<Decoder::kAny>},
    {"decode_and_crop_jpeg", infer_decode_and_crop, evaluate_decode_and_crop},
    {"extract_jpeg_shape", infer_jpeg_shape, evaluate_jpeg_shape},
};

constexpr ImportRule kRules[] = {
    {"DecodeJpeg", "decode_jpeg"},
    {"DecodePng", "decode_png"},
    {"DecodeGif", "decode_gif"},
    {"DecodeBmp", "decode_bmp"},
    {"DecodeImage", "decode_image"},
    {"DecodeAndCropJpeg", "decode_and_crop_jpeg"},
    {"ExtractJpegShape", "extract_jpeg_shape"},
};

}  // namespace

const OpFamily& image_decode_family() {
  static const OpFamily family{"image_decode", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
