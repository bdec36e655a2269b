// Sound: WAV files, spectrograms, mel-frequency cepstral coefficients.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/fft.h"
#include "ops/registry.h"
#include "ops/string_elements.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

// --- decode_wav

void infer_decode_wav(InferContext& ctx) {
  const auto channels = ctx.attrs().get_or<std::int64_t>("desired_channels", -1);
  const auto samples = ctx.attrs().get_or<std::int64_t>("desired_samples", -1);
  ctx.set_output(0, DataType::kFloat32, PartialShape{samples < 0 ? ctx.fresh() : Dim(samples), channels < 0 ? ctx.fresh() : Dim(channels)});
  ctx.set_output(1, DataType::kInt32, Shape{});
}

struct Wav {
  std::uint32_t sample_rate = 0;
  std::int64_t channels = 0;
  std::string_view data;  // 16-bit little-endian samples, channels interleaved
};

class WavReader {
 public:
  WavReader(const EvalContext& ctx, std::string_view bytes) : ctx_(ctx), bytes_(bytes) {}

  Wav read() {
    if (take(4) != "RIFF") refuse("does not start with RIFF");
    take(4);
    if (take(4) != "WAVE") refuse("is not of type WAVE");
    Wav wav;
    while (wav.data.data() == nullptr) {
      const std::string_view id = take(4);
      const std::uint32_t size = number(4);
      if (id == "fmt ") {
        read_format(size, wav);
      } else if (id == "data") {
        if (wav.channels == 0) refuse("has its data before its format");
        wav.data = take(size);
      } else {
        take(size + (size & 1));
      }
    }
    return wav;
  }

 private:
  [[noreturn]] void refuse(const char* what) const { ctx_.fail_node("the WAV file {}", what); }

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) refuse("is cut short");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::uint32_t number(std::size_t size) {
    const std::string_view raw = take(size);
    std::uint32_t value = 0;
    for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[i]);
    return value;
  }
  void read_format(std::uint32_t size, Wav& wav) {
    if (size < 16) refuse("has a malformed format");
    const std::size_t end = at_ + size;
    const std::uint32_t format = number(2);
    wav.channels = number(2);
    wav.sample_rate = number(4);
    number(4);
    number(2);
    const std::uint32_t bits = number(2);
    if ((format != 1 && format != 0xfffe) || bits != 16) refuse("does not hold 16-bit samples without compression");
    if (wav.channels == 0) refuse("has no channels");
    take(end - at_);
  }

  const EvalContext& ctx_;
  std::string_view bytes_;
  std::size_t at_ = 0;
};

void evaluate_decode_wav(EvalContext& ctx) {
  const Wav wav = WavReader(ctx, string_scalar(ctx, 0)).read();
  auto channels = ctx.attrs().get_or<std::int64_t>("desired_channels", -1);
  auto samples = ctx.attrs().get_or<std::int64_t>("desired_samples", -1);
  const std::int64_t present = static_cast<std::int64_t>(wav.data.size()) / (2 * wav.channels);
  if (channels < 0) channels = wav.channels;
  if (samples < 0) samples = present;
  Tensor& audio = ctx.allocate(0, DataType::kFloat32, {samples, channels});
  float* out = audio.flat<float>().data();
  for (std::int64_t i = 0; i < samples; ++i) {
    for (std::int64_t c = 0; c < channels; ++c) {
      std::int16_t value = 0;  // beyond the file's end: silence; beyond its channels: the last one again
      const std::int64_t from = i * wav.channels + std::min(c, wav.channels - 1);
      if (i < present) std::memcpy(&value, wav.data.data() + 2 * from, 2);
      *out++ = static_cast<float>(value) / 32768.0f;
    }
  }
  ctx.set_output(1, Tensor::scalar(static_cast<std::int32_t>(wav.sample_rate)));
}

// --- audio_spectrogram: [samples, channels] -> [channels, frames, bins]

constexpr std::int64_t kMaxWindow = 1 << 24;

struct Frames {
  std::int64_t window = 0, stride = 0, bins = 0;
  std::size_t fft = 0;
};

template <class Context>
Frames frames_of(const Context& ctx) {
  Frames frames;
  frames.window = ctx.attrs().template get<std::int64_t>("window_size");
  frames.stride = ctx.attrs().template get<std::int64_t>("stride");
  if (frames.window < 2 || frames.window > kMaxWindow || frames.stride < 1) {
    ctx.fail_node("window_size is {}, stride {}", frames.window, frames.stride);
  }
  frames.fft = std::bit_ceil(static_cast<std::size_t>(frames.window));
  frames.bins = static_cast<std::int64_t>(frames.fft) / 2 + 1;
  return frames;
}

void infer_spectrogram(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.expect_rank(0, 2);
  const Frames frames = frames_of(ctx);
  const PartialShape& in = ctx.input_shape(0);
  Dim count = ctx.fresh();
  if (in.known_rank() && in[0].known()) count = in[0].size() < frames.window ? 0 : 1 + (in[0].size() - frames.window) / frames.stride;
  ctx.set_output(0, DataType::kFloat32, PartialShape{in.known_rank() ? in[1] : ctx.fresh(), count, frames.bins});
}

void evaluate_spectrogram(EvalContext& ctx) {
  const Tensor in = ctx.input(0);
  const Frames frames = frames_of(ctx);
  if (in.rank() != 2 || in.dtype() != DataType::kFloat32) ctx.fail_node("the operand must be float32[samples, channels], it is {}", in.describe());
  const bool squared = ctx.attrs().get_or<bool>("magnitude_squared", false);
  const std::int64_t samples = in.dim(0), channels = in.dim(1);
  const std::int64_t count = samples < frames.window ? 0 : 1 + (samples - frames.window) / frames.stride;
  std::vector<double> hann(static_cast<std::size_t>(frames.window));
  for (std::size_t i = 0; i < hann.size(); ++i) {
    hann[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(hann.size()));
  }
  const Fft fft(frames.fft);
  Tensor& out = ctx.allocate(0, DataType::kFloat32, {channels, count, frames.bins});
  float* to = out.flat<float>().data();
  const float* from = in.flat<float>().data();
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t f = 0; f < count; ++f) {
      std::vector<Fft::Complex> line(frames.fft);
      for (std::size_t i = 0; i < hann.size(); ++i) {
        line[i] = hann[i] * static_cast<double>(from[(f * frames.stride + static_cast<std::int64_t>(i)) * channels + c]);
      }
      fft.forward(line);
      for (std::int64_t b = 0; b < frames.bins; ++b) {
        const auto power = static_cast<float>(std::norm(line[static_cast<std::size_t>(b)]));
        *to++ = squared ? power : std::sqrt(power);
      }
    }
  }
}

// --- mfcc: squared spectrogram [channels, frames, bins], sample rate -> [channels, frames, coefficients]

double mel(double hertz) { return 1127.0 * std::log1p(hertz / 700.0); }

// Triangles that overlap by half, evenly spaced on the mel scale; each bin falls into one and the next.
class MelFilters {
 public:
  MelFilters(std::int64_t bins, double sample_rate, std::int64_t channels, double low, double high) : channels_(channels) {
    const double low_mel = mel(low);
    const double spacing = (mel(high) - low_mel) / static_cast<double>(channels + 1);
    std::vector<double> centers;
    for (std::int64_t i = 0; i <= channels; ++i) centers.push_back(low_mel + spacing * static_cast<double>(i + 1));
    const double hertz_per_bin = 0.5 * sample_rate / static_cast<double>(bins - 1);
    first_ = static_cast<std::int64_t>(std::min(1.5 + low / hertz_per_bin, static_cast<double>(bins)));
    last_ = static_cast<std::int64_t>(std::min(high / hertz_per_bin, static_cast<double>(bins)));
    reaches_beyond_ = last_ >= bins;
    for (std::int64_t bin = first_, channel = 0; bin <= std::min(last_, bins - 1); ++bin) {
      const double at = mel(static_cast<double>(bin) * hertz_per_bin);
      while (channel < channels && centers[static_cast<std::size_t>(channel)] < at) ++channel;
      const double upper = centers[static_cast<std::size_t>(channel)];
      const double lower = channel == 0 ? low_mel : centers[static_cast<std::size_t>(channel) - 1];
      lower_channel_.push_back(channel - 1);
      weights_.push_back((upper - at) / (upper - lower));
    }
  }

  // Filters above the highest bin: TensorFlow then gives zeros for everything.
  bool reaches_beyond() const { return reaches_beyond_; }

  std::vector<double> apply(const float* spectrum) const {
    std::vector<double> sums(static_cast<std::size_t>(channels_), 0.0);
    for (std::int64_t bin = first_; bin <= last_; ++bin) {
      const auto i = static_cast<std::size_t>(bin - first_);
      const double magnitude = std::sqrt(static_cast<double>(spectrum[bin]));
      const double weighted = magnitude * weights_[i];
      const std::int64_t channel = lower_channel_[i];
      if (channel >= 0) sums[static_cast<std::size_t>(channel)] += weighted;
      if (channel + 1 < channels_) sums[static_cast<std::size_t>(channel) + 1] += magnitude - weighted;
    }
    return sums;
  }

 private:
  std::int64_t channels_, first_ = 0, last_ = 0;
  bool reaches_beyond_ = false;
  std::vector<std::int64_t> lower_channel_;
  std::vector<double> weights_;
};

void infer_mfcc(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.expect_rank(0, 3);
  const PartialShape& in = ctx.input_shape(0);
  const auto coefficients = ctx.attrs().get_or<std::int64_t>("dct_coefficient_count", 13);
  const bool known = in.known_rank();
  ctx.set_output(0, DataType::kFloat32, PartialShape{known ? in[0] : ctx.fresh(), known ? in[1] : ctx.fresh(), Dim(std::max<std::int64_t>(coefficients, 0))});
}

void evaluate_mfcc(EvalContext& ctx) {
  constexpr double kFloor = 1e-12;
  const Tensor in = ctx.input(0);
  const std::int64_t rate = ctx.integer(1);
  const double high = ctx.attrs().get_or<float>("upper_frequency_limit", 4000), low = ctx.attrs().get_or<float>("lower_frequency_limit", 20);
  const auto channels = ctx.attrs().get_or<std::int64_t>("filterbank_channel_count", 40);
  const auto coefficients = ctx.attrs().get_or<std::int64_t>("dct_coefficient_count", 13);
  if (in.rank() != 3 || in.dtype() != DataType::kFloat32 || in.dim(2) < 2) ctx.fail_node("the spectrogram is {}", in.describe());
  if (rate <= 0 || !(low >= 0) || !(high > low) || channels < 1 || channels > 1 << 16 || coefficients < 1 || coefficients > channels) {
    ctx.fail_node("sample rate {}, frequencies {} to {}, {} channels, {} coefficients", rate, low, high, channels, coefficients);
  }
  const MelFilters filters(in.dim(2), static_cast<double>(rate), channels, low, high);
  const double scale = std::sqrt(2.0 / static_cast<double>(channels));
  std::vector<double> cosines;
  for (std::int64_t i = 0; i < coefficients; ++i) {
    for (std::int64_t j = 0; j < channels; ++j) {
      const double angle = static_cast<double>(i) * std::numbers::pi / static_cast<double>(channels) * (static_cast<double>(j) + 0.5);
      cosines.push_back(scale * std::cos(angle));
    }
  }
  Tensor& out = ctx.allocate(0, DataType::kFloat32, {in.dim(0), in.dim(1), coefficients});
  float* to = out.flat<float>().data();
  if (filters.reaches_beyond()) return std::fill_n(to, out.num_elements(), 0.0f), void();
  for (std::int64_t frame = 0; frame < in.dim(0) * in.dim(1); ++frame) {
    std::vector<double> energies = filters.apply(in.flat<float>().data() + frame * in.dim(2));
    for (double& e : energies) e = std::log(std::max(e, kFloor));
    for (std::int64_t i = 0; i < coefficients; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < energies.size(); ++j) sum += cosines[static_cast<std::size_t>(i * channels) + j] * energies[j];
      *to++ = static_cast<float>(sum);
    }
  }
}

constexpr ir::OpDef kOps[] = {
    {"decode_wav", infer_decode_wav, evaluate_decode_wav},
    {"audio_spectrogram", infer_spectrogram, evaluate_spectrogram},
    {"mfcc", infer_mfcc, evaluate_mfcc},
};

constexpr ImportRule kRules[] = {
    {"DecodeWav", "decode_wav"},
    {"AudioSpectrogram", "audio_spectrogram"},
    {"Mfcc", "mfcc"},
};

}  // namespace

const OpFamily& audio_family() {
  static const OpFamily family{"audio", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
