// How TensorFlow's window attributes are read.
#include <algorithm>

#include "base/error.h"
#include "ops/conv.h"

namespace tenon::ops {
namespace {

std::size_t channel_index(const ir::Attrs& attrs, int spatial) {
  return channels_first(attrs, spatial) ? 1 : static_cast<std::size_t>(spatial + 1);
}

std::size_t spatial_index(const ir::Attrs& attrs, int spatial, int i) {
  return static_cast<std::size_t>(channels_first(attrs, spatial) ? i + 2 : i + 1);
}

}  // namespace

bool channels_first(const ir::Attrs& attrs, int spatial) {
  const std::string last = spatial == 2 ? "NHWC" : "NDHWC";
  const auto format = attrs.get_or<std::string>("data_format", last);
  if (format == last) return false;
  if (format == (spatial == 2 ? "NCHW" : "NCDHW")) return true;
  fail(ErrorCode::kInvalidModel, "data_format \"{}\" is not supported: {} or {} is needed", format, last,
       spatial == 2 ? "NCHW" : "NCDHW");
}

PerDimension per_dimension(const ir::Attrs& attrs, std::string_view name, int spatial, bool may_be_absent) {
  PerDimension result;
  const auto size = static_cast<std::size_t>(spatial + 2);
  auto values =
      may_be_absent ? attrs.get_or<std::vector<std::int64_t>>(name, {}) : attrs.get<std::vector<std::int64_t>>(name);
  if (values.empty() && may_be_absent) values.assign(size, 1);
  if (values.size() != size)
    fail(ErrorCode::kInvalidModel, "attribute \"{}\" has {} numbers, {} are needed", name, values.size(), size);
  for (std::int64_t value : values) {
    if (value < 1 || value > 1 << 30) fail(ErrorCode::kInvalidModel, "attribute \"{}\" has the number {}", name, value);
  }
  result.batch = values[0];
  result.channel = values[channel_index(attrs, spatial)];
  for (int i = 0; i < spatial; ++i) result.spatial.push_back(values[spatial_index(attrs, spatial, i)]);
  return result;
}

void read_padding(const ir::Attrs& attrs, int spatial, ConvAttrs& window) {
  const auto padding = attrs.get<std::string>("padding");
  if (padding == "SAME") {
    window.padding = Padding::kSame;
  } else if (padding == "VALID") {
    window.padding = Padding::kValid;
  } else if (padding == "EXPLICIT") {
    window.padding = Padding::kExplicit;
    const auto values = attrs.get<std::vector<std::int64_t>>("explicit_paddings");
    const auto wanted = static_cast<std::size_t>(2 * (spatial + 2));
    if (values.size() != wanted)
      fail(ErrorCode::kInvalidModel, "explicit_paddings has {} numbers, {} are needed", values.size(), wanted);
    for (std::int64_t value : values) {
      if (value < 0 || value > 1 << 30) fail(ErrorCode::kInvalidModel, "explicit_paddings has the number {}", value);
    }
    const std::size_t channel = 2 * channel_index(attrs, spatial);
    if (values[0] != 0 || values[1] != 0 || values[channel] != 0 || values[channel + 1] != 0) {
      fail(ErrorCode::kInvalidModel, "explicit_paddings pads the batch or the channels");
    }
    for (int i = 0; i < spatial; ++i) {
      const std::size_t at = 2 * spatial_index(attrs, spatial, i);
      window.pads.insert(window.pads.end(), {values[at], values[at + 1]});
    }
  } else {
    fail(ErrorCode::kInvalidModel, "padding \"{}\" is not SAME, VALID or EXPLICIT", padding);
  }
}

ConvAttrs conv_attrs(const ir::Attrs& attrs, int spatial) {
  const PerDimension strides = per_dimension(attrs, "strides", spatial);
  const PerDimension dilations = per_dimension(attrs, "dilations", spatial, true);
  if (strides.batch != 1 || strides.channel != 1 || dilations.batch != 1 || dilations.channel != 1) {
    fail(ErrorCode::kInvalidModel, "strides and dilations of the batch and the channels must be 1");
  }
  ConvAttrs window;
  window.strides = strides.spatial;
  window.dilations = dilations.spatial;
  read_padding(attrs, spatial, window);
  return window;
}

std::int64_t window_count(const ConvAttrs& window, int i, std::int64_t input, std::int64_t filter) {
  const auto at = static_cast<std::size_t>(i);
  if (window.padding != Padding::kSame) {
    const auto [before, after] = window.pads_of(i, input, filter);
    const std::int64_t room = input + before + after - ((filter - 1) * window.dilations[at] + 1);
    if (room <= -2 * window.strides[at]) {
      fail(ErrorCode::kInvalidArgument, "a window of {} (dilation {}) does not fit {} padded elements", filter,
           window.dilations[at], input + before + after);
    }
  }
  return window.output_size(i, input, filter);
}

Dim window_count(ir::InferContext& ctx, const ConvAttrs& window, int i, Dim input, Dim filter) {
  if (input.known() && filter.known()) return window_count(window, i, input.size(), filter.size());
  const bool one = window.strides[static_cast<std::size_t>(i)] == 1;
  if (one && (window.padding == Padding::kSame || (filter == Dim(1) && window.padding == Padding::kValid))) return input;
  if (input.known() && window.padding == Padding::kSame) return window.output_size(i, input.size(), 1);
  return ctx.fresh();
}

WindowGeometry::WindowGeometry(const ConvAttrs& window, const Shape& input, std::span<const std::int64_t> filter_sizes) {
  const int spatial = input.rank() - 2;
  for (int i = 0; i < spatial; ++i) {
    const auto to = static_cast<std::size_t>(3 - spatial + i), from = static_cast<std::size_t>(i);
    in[to] = input[i + 1];
    filter[to] = filter_sizes[from];
    stride[to] = window.strides[from];
    dilation[to] = window.dilations[from];
    out[to] = window_count(window, i, in[to], filter[to]);
    pad[to] = window.pads_of(i, in[to], filter[to]).first;
  }
}

}  // namespace tenon::ops
