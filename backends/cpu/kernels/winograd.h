// 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3): a quarter of the multiplications, four times the weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/isa_kernels.h"

namespace tenon::cpu {

struct WinogradShape {
  int64_t batch = 0, in_h = 0, in_w = 0, out_h = 0, out_w = 0;
};

// What conv2d_* does for params.winograd. Packed filters are 36 packed matrices [input channels, output channels].
size_t winograd_packed_size(const Conv2dParams& params, Isa isa);
void winograd_pack(const Conv2dParams& params, const float* hwio, float* packed, Isa isa);
size_t winograd_scratch_size(const Conv2dParams& params, const WinogradShape& shape, Isa isa, int threads);
void winograd_run(const Conv2dParams& params, const WinogradShape& shape, Isa isa, const Conv2dArgs& args, ThreadTeam& team);

}  // namespace tenon::cpu
