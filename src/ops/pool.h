// The windows of pooling ops.
#pragma once

#include "ops/conv.h"

namespace tenon::ops {

// Attributes ksize, strides, padding, explicit_paddings, data_format of max_pool, avg_pool and their 3-D forms.
struct PoolAttrs {
  ConvAttrs window;                 // strides and padding; dilations are 1
  std::vector<std::int64_t> sizes;  // of the window, spatial
  bool channels_first = false;
  std::int64_t depth = 1;  // channels that are pooled into one; a multiple of it is the input's, the window is then 1 x 1

  // Throws kInvalidModel on malformed attributes and on windows over the batch.
  static PoolAttrs parse(const ir::Attrs& attrs, int spatial);
};

}  // namespace tenon::ops
