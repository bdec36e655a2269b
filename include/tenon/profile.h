// What the machine can do, to hold measured times against.
#pragma once

namespace tenon {

// FP32 multiply-adds counted as two operations, per second, on `threads` threads: measured once per process and number of
// threads in about 20 ms, with the widest vectors that the instruction-set cap allows.
double measured_peak_flops(int threads);

}  // namespace tenon
