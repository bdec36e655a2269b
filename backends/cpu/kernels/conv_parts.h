// What kernels that fuse convolutions take of the plain ones.
#pragma once

#include "backends/cpu/kernels/conv2d.h"
#include "backends/cpu/kernels/depthwise.h"
#include "backends/cpu/kernels/implicit_gemm.h"

namespace tenon::cpu {

// The matrix product that a convolution is, its tactic as given.
ImplicitGemm conv2d_product(const Conv2dParams& params, int64_t batch, int64_t height, int64_t width,
                            const ConvTactic& tactic, Isa isa);

// A line of a depthwise convolution without its addresses.
DepthwiseRowArgs depthwise_row_form(const DepthwiseParams& params, int64_t width, int64_t output_w);

// Whether the line kernel does the whole epilogue; else `activate` follows on the written line.
bool depthwise_row_finishes(const DepthwiseParams& params);

}  // namespace tenon::cpu
