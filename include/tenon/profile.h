// Times of a run, and what the machine can do, to hold them against.
#pragma once

#include <string>
#include <vector>

namespace tenon {

// Time of one step of the last profiled run.
struct ProfileEntry {
  std::string node;      // the model's own name
  std::string op_type;   // TensorFlow's
  std::string kernel;    // what ran it
  std::string shape;     // of the first result
  std::string engine;    // empty: native
  double seconds = 0;
  double flops = 0;      // 0 when not known
  std::vector<std::string> merged;  // further nodes that the step computed
};

// FP32 multiply-adds counted as two operations, per second, on `threads` threads: measured once per process and number of
// threads in about 20 ms, with the widest vectors that the instruction-set cap allows.
double measured_peak_flops(int threads);

}  // namespace tenon
