// Softmax and log-softmax over the last axis of a dense float tensor.
#pragma once

#include <cstdint>

#include "base/thread_team.h"

namespace tenon::cpu {

// x, y: [rows, length]. `y` may be `x`. A row with NaN, +infinity or nothing but -infinity gives NaN.
void softmax(const float* x, float* y, int64_t rows, int64_t length, ThreadTeam& team);

// log(softmax(x)), without overflow.
void log_softmax(const float* x, float* y, int64_t rows, int64_t length, ThreadTeam& team);

}  // namespace tenon::cpu
