// How a kernel divides its work: shares depend on the work alone, never on the team's size, so results are bit-equal for
// every team; small work stays on the calling thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/thread_team.h"

namespace tenon::cpu {

// `items` pieces of work in `shares` runs of neighbours; every run but the last holds `step` items.
struct Shares {
  int64_t items = 0;
  int64_t step = 1;
  int shares = 1;
};

// Below this a fork costs more than it gains.
inline constexpr double kForkNanoseconds = 20000;
inline constexpr int kMaxShares = 64;

// `nanoseconds` is a guess for one item; a run is a multiple of `grain` items.
inline Shares split_work(int64_t items, double nanoseconds, int64_t grain = 1) {
  const double total = static_cast<double>(items) * nanoseconds;
  if (total < kForkNanoseconds || items <= grain) return {items, std::max<int64_t>(items, 1), 1};
  const int64_t wanted = std::clamp<int64_t>(static_cast<int64_t>(total / (kForkNanoseconds / 2)), 2, kMaxShares);
  int64_t step = (items + wanted - 1) / wanted;
  step = (step + grain - 1) / grain * grain;
  return {items, step, static_cast<int>((items + step - 1) / step)};
}

// Calls body(begin, end) for every run.
template <class Body>
void for_shares(const Shares& shares, ThreadTeam& team, Body&& body) {
  if (shares.items <= 0) return;
  if (shares.shares == 1) return body(int64_t{0}, shares.items);
  team.parallel(shares.shares, [&](int share) {
    const int64_t begin = share * shares.step;
    body(begin, std::min(shares.items, begin + shares.step));
  });
}

}  // namespace tenon::cpu
