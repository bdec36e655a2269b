// A team of threads that a session owns: one parallel loop at a time, called from one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

namespace tenon {

// Runs `body(share)` for every share in [0, shares). Which thread runs a share is not fixed; the shares are, so results do
// not depend on the team's size. Waiting workers spin for a bounded time, then sleep: a busy neighbour costs little and an
// idle team nothing. The caller runs shares that no worker has begun.
class ThreadTeam {
 public:
  // `threads` counts the caller; 0 takes the CPUs that this process may use (affinity mask and cgroup quota).
  explicit ThreadTeam(int threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const noexcept;

  // Number of the calling thread within this team, in [0, size()): the caller is 0. Selects a thread's part of scratch
  // memory.
  int slot() const noexcept;

  using Body = void (*)(void* context, int share);
  // No allocation, no lock when quiet. `body` must not throw. Nested calls run in the caller.
  void run(int shares, Body body, void* context);

  template <class F>
  void parallel(int shares, F&& body) {
    run(
        shares, [](void* context, int share) { (*static_cast<std::remove_reference_t<F>*>(context))(share); }, &body);
  }

  // CPUs that this process may use: the affinity mask, cut by a cgroup quota; at least 1.
  static int available_cpus();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenon
