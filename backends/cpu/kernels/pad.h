// TensorFlow's Pad, PadV2 and MirrorPad on dense tensors of any element size.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backends/cpu/kernels/shares.h"
#include "base/thread_team.h"

namespace tenon::cpu {

enum class PadMode : uint8_t {
  kConstant,
  kReflect,    // the edge element is not repeated
  kSymmetric,  // the edge element is repeated
};

// Bound to one shape; immutable.
class Pad {
 public:
  // dims: of the input; before, after: elements to add per dimension, not negative; for the mirror modes at most the size of
  // the dimension (kReflect: less than it). Throws kInternal otherwise.
  Pad(PadMode mode, std::span<const int64_t> dims, std::span<const int64_t> before, std::span<const int64_t> after,
      int64_t element_size);

  // value: one element, used by kConstant only.
  void run(const void* from, const void* value, void* to, ThreadTeam& team) const;

 private:
  // For every output index along a dimension the input index, or -1 for the constant.
  std::vector<std::vector<int64_t>> source_;
  std::vector<int64_t> strides_;  // of the input, in elements
  int64_t unit_ = 0;              // bytes of the constant
  int64_t element_size_ = 0;      // bytes of an element together with the trailing dimensions that are not padded
  int64_t before_ = 0, length_ = 0, columns_ = 0;  // of the innermost padded dimension
  PadMode mode_ = PadMode::kConstant;
  Shares shares_;  // of output rows

  void run_row(const char* from, bool inside, const void* value, char* to) const;
};

}  // namespace tenon::cpu
