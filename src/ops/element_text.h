// Elements as text, for messages and printing ops.
#pragma once

#include <cstdint>
#include <string>

#include "tenon/tensor.h"

namespace tenon::ops {

// Element i: as few digits as read back as the same value, strings as they are, booleans as 0 or 1.
std::string element_text(const Tensor& tensor, std::int64_t i);
// Up to `count` elements with blanks between, "..." for the rest; all when count is negative.
std::string summarize(const Tensor& tensor, std::int64_t count);

}  // namespace tenon::ops
