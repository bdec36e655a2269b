// A session's thread team, shared by everything that the session runs: whoever comes second computes alone.
#pragma once

#include <atomic>
#include <memory>

#include "base/thread_team.h"

namespace tenon {

class SharedTeam {
 public:
  // `threads` as ThreadTeam takes it.
  explicit SharedTeam(int threads) : team_(threads), alone_(1) {}

  int size() const noexcept { return team_.size(); }

  // The team for the duration of a run, or a team of only the calling thread when another run has it: results are the same.
  class Lease {
   public:
    explicit Lease(SharedTeam& shared) : shared_(shared), taken_(!shared.busy_.exchange(true, std::memory_order_acquire)) {}
    ~Lease() {
      if (taken_) shared_.busy_.store(false, std::memory_order_release);
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ThreadTeam& team() noexcept { return taken_ ? shared_.team_ : shared_.alone_; }

   private:
    SharedTeam& shared_;
    bool taken_;
  };

 private:
  ThreadTeam team_;
  ThreadTeam alone_;  // has no workers, so it holds no state and any number of threads may use it
  std::atomic<bool> busy_{false};
};

}  // namespace tenon
