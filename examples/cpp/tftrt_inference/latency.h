// What the programs say about the time of their calls.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <vector>

// `milliseconds`: of each call, at least one; `batch`: examples in a call.
inline void print_latency(std::vector<double> milliseconds, std::int64_t batch) {
  std::sort(milliseconds.begin(), milliseconds.end());
  const std::size_t count = milliseconds.size();
  const double sum = std::accumulate(milliseconds.begin(), milliseconds.end(), 0.0);
  const auto percentile = [&](std::size_t percent) {  // the smallest that so many per cent do not exceed
    return milliseconds[std::max<std::size_t>((count * percent + 99) / 100, 1) - 1];
  };
  std::printf("throughput: %.1f examples/s (%zu calls, batch %lld)\n",
              1000 * static_cast<double>(batch) * static_cast<double>(count) / sum, count, static_cast<long long>(batch));
  std::printf("latency [ms]: mean %.3f, median %.3f, 90 %% %.3f, 99 %% %.3f, min %.3f, max %.3f\n",
              sum / static_cast<double>(count), percentile(50), percentile(90), percentile(99), milliseconds.front(),
              milliseconds.back());
}
