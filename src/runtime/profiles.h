// Optimization profiles: from shapes that were seen to ranges that an engine serves (TF-TRT behaviour 4).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tenon/engine.h"

namespace tenon::runtime {

// The shapes of one call's inputs, and the values of those that may decide shapes (behaviour 4.2).
struct ShapeSample {
  std::vector<std::vector<std::int64_t>> shapes;                 // empty for resources
  std::vector<std::optional<std::vector<std::int64_t>>> values;  // nothing: a data tensor
  bool operator==(const ShapeSample&) const = default;
};

// Which inputs may decide shapes: 32-bit integers of rank 0, or of rank 1 with at most 8 elements, always of one size.
class ShapeInputs {
 public:
  // Looks at one more call: demotes inputs that are not what they were taken for.
  void see(std::span<const TensorView> inputs);
  // The exact answer, of an engine that was built.
  void set(std::vector<bool> mask);
  bool decided() const noexcept { return decided_; }
  bool contains(std::size_t input) const { return input < mask_.size() && mask_[input]; }

 private:
  bool first_ = true;
  bool decided_ = false;
  std::vector<bool> mask_;
  std::vector<std::int64_t> counts_;  // elements at the first call
};

// The call's shapes, with the values of `shape_inputs`.
ShapeSample sample_of(std::span<const TensorView> inputs, const ShapeInputs& shape_inputs);

// Profiles of the samples by the strategy, in TF-TRT's order; samples that stand twice count once. Sizes that `known` (one per input,
// or empty) has are forced into every bound. Throws kInvalidArgument when Range meets an input whose rank differs between samples.
std::vector<ShapeProfile> make_profiles(std::vector<ShapeSample> samples, ProfileStrategy strategy, std::span<const ShapeSpec> known);

// Whether each input's shape, and the values of `shape_inputs`, lie within the profile's bounds.
bool contains(const ShapeProfile& profile, std::span<const TensorView> inputs, const ShapeInputs& shape_inputs);

}  // namespace tenon::runtime
