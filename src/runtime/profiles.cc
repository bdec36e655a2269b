#include "runtime/profiles.h"

#include <algorithm>

#include "base/error.h"

namespace tenon::runtime {
namespace {

constexpr std::int64_t kMaxShapeValues = 8;

bool may_decide_shapes(const TensorView& input) {
  if (input.dtype != DataType::kInt32 || input.data == nullptr) return false;
  return input.dims.empty() || (input.dims.size() == 1 && input.dims[0] <= kMaxShapeValues);
}

std::int64_t value_at(const TensorView& input, std::int64_t i) {
  return input.dtype == DataType::kInt64 ? static_cast<const std::int64_t*>(input.data)[i]
                                         : static_cast<const std::int32_t*>(input.data)[i];
}

bool is_integer(const TensorView& input) { return input.dtype == DataType::kInt32 || input.dtype == DataType::kInt64; }

using Bounds = std::vector<std::vector<std::int64_t>>;

Bounds values_of(const ShapeSample& sample) {
  Bounds values;
  for (const auto& value : sample.values) values.push_back(value.value_or(std::vector<std::int64_t>{}));
  return values;
}

ShapeProfile exactly(const ShapeSample& sample) {
  const Bounds values = values_of(sample);
  return {sample.shapes, sample.shapes, sample.shapes, values, values, values};
}

// Element by element the smaller or larger of two bounds.
template <class Choose>
void fold(Bounds& bounds, const Bounds& other, const Choose& choose, const char* what) {
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (bounds[i].size() != other[i].size()) {
      fail(ErrorCode::kInvalidArgument, "profile strategy Range: input {} came with {} and {} {}; use Optimal for inputs whose rank changes", i,
           bounds[i].size(), other[i].size(), what);
    }
    for (std::size_t d = 0; d < bounds[i].size(); ++d) bounds[i][d] = choose(bounds[i][d], other[i][d]);
  }
}

ShapeProfile range_of(const std::vector<ShapeSample>& samples) {
  ShapeProfile profile = exactly(samples.front());
  const auto lower = [](std::int64_t a, std::int64_t b) { return std::min(a, b); };
  const auto upper = [](std::int64_t a, std::int64_t b) { return std::max(a, b); };
  for (const ShapeSample& sample : samples) {
    const Bounds values = values_of(sample);
    fold(profile.min, sample.shapes, lower, "dimensions");
    fold(profile.max, sample.shapes, upper, "dimensions");
    fold(profile.min_values, values, lower, "values");
    fold(profile.max_values, values, upper, "values");
  }
  profile.opt = profile.max;
  profile.opt_values = profile.max_values;
  return profile;
}

void force(Bounds& bounds, std::span<const ShapeSpec> known) {
  for (std::size_t i = 0; i < bounds.size() && i < known.size(); ++i) {
    if (!known[i].known_rank || known[i].dims.size() != bounds[i].size()) continue;
    for (std::size_t d = 0; d < bounds[i].size(); ++d) {
      if (known[i].dims[d] >= 0) bounds[i][d] = known[i].dims[d];
    }
  }
}

bool within(const std::vector<std::int64_t>& min, const std::vector<std::int64_t>& max, std::span<const std::int64_t> dims) {
  if (dims.size() != min.size()) return false;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] < min[d] || dims[d] > max[d]) return false;
  }
  return true;
}

}  // namespace

void ShapeInputs::see(std::span<const TensorView> inputs) {
  if (decided_) return;
  if (first_) {
    mask_.resize(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      mask_[i] = may_decide_shapes(inputs[i]);
      counts_.push_back(inputs[i].num_elements());
    }
    first_ = false;
    return;
  }
  for (std::size_t i = 0; i < inputs.size() && i < mask_.size(); ++i) {
    if (!may_decide_shapes(inputs[i]) || inputs[i].num_elements() != counts_[i]) mask_[i] = false;
  }
}

void ShapeInputs::set(std::vector<bool> mask) {
  mask_ = std::move(mask);
  decided_ = true;
}

ShapeSample sample_of(std::span<const TensorView> inputs, const ShapeInputs& shape_inputs) {
  ShapeSample sample;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& input = inputs[i];
    sample.shapes.emplace_back(input.dims.begin(), input.dims.end());
    sample.values.emplace_back();
    if (!shape_inputs.contains(i) || !is_integer(input)) continue;
    std::vector<std::int64_t> values;
    for (std::int64_t e = 0; e < input.num_elements(); ++e) values.push_back(value_at(input, e));
    sample.values.back() = std::move(values);
  }
  return sample;
}

std::vector<ShapeProfile> make_profiles(std::vector<ShapeSample> samples, ProfileStrategy strategy, std::span<const ShapeSpec> known) {
  std::vector<ShapeSample> unique;
  for (ShapeSample& sample : samples) {
    if (std::find(unique.begin(), unique.end(), sample) == unique.end()) unique.push_back(std::move(sample));
  }
  std::vector<ShapeProfile> profiles;
  if (unique.empty()) return profiles;
  if (strategy != ProfileStrategy::kRange) {
    for (const ShapeSample& sample : unique) profiles.push_back(exactly(sample));
  }
  if (strategy == ProfileStrategy::kImplicitBatchModeCompatible) {
    for (ShapeProfile& profile : profiles) {
      for (std::vector<std::int64_t>& dims : profile.min) {
        if (!dims.empty()) dims[0] = std::min<std::int64_t>(dims[0], 1);
      }
    }
  }
  if (strategy == ProfileStrategy::kRange || strategy == ProfileStrategy::kRangeOptimal) profiles.push_back(range_of(unique));
  for (ShapeProfile& profile : profiles) {
    for (Bounds* bounds : {&profile.min, &profile.opt, &profile.max}) force(*bounds, known);
  }
  return profiles;
}

bool contains(const ShapeProfile& profile, std::span<const TensorView> inputs, const ShapeInputs& shape_inputs) {
  if (profile.min.size() != inputs.size()) return false;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorView& input = inputs[i];
    if (input.dtype == DataType::kResource) continue;
    if (!within(profile.min[i], profile.max[i], input.dims)) return false;
    if (!shape_inputs.contains(i) || !is_integer(input) || i >= profile.min_values.size()) continue;
    const auto& low = profile.min_values[i];
    const auto& high = profile.max_values[i];
    if (low.empty()) continue;  // its values were not known to matter when the profile was made
    if (static_cast<std::int64_t>(low.size()) != input.num_elements()) return false;
    for (std::size_t e = 0; e < low.size(); ++e) {
      const std::int64_t value = value_at(input, static_cast<std::int64_t>(e));
      if (value < low[e] || value > high[e]) return false;
    }
  }
  return true;
}

}  // namespace tenon::runtime
