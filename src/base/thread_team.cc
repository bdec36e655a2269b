#include "base/thread_team.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"

namespace tenon {
namespace {

constexpr auto kWorkerSpin = std::chrono::microseconds(80);
constexpr auto kCallerSpin = std::chrono::microseconds(50);
constexpr int kPausesPerClockRead = 32;

void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) noexcept {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t>& word, int count) noexcept {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

// True when `ready()` came true within `limit`.
template <class Ready>
bool spin_until(Ready&& ready, std::chrono::steady_clock::duration limit) noexcept {
  for (int i = 0; i < kPausesPerClockRead; ++i) {
    if (ready()) return true;
    pause();
  }
  const auto end = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

// Shares not yet begun: [low, high) packed in one word. The caller claims at the low end, workers at the high end, so that
// the same thread tends to meet the same part of a tensor in consecutive loops.
struct Open {
  uint32_t low;
  uint32_t high;
};
constexpr uint64_t pack(Open open) { return static_cast<uint64_t>(open.high) << 32 | open.low; }
constexpr Open unpack(uint64_t word) { return {static_cast<uint32_t>(word), static_cast<uint32_t>(word >> 32)}; }
constexpr bool any(uint64_t word) { return unpack(word).low < unpack(word).high; }

thread_local const void* running_team = nullptr;  // the team whose share this thread is in, to run nested loops in place
thread_local const void* home_team = nullptr;     // the team that this worker belongs to, and its number there
thread_local int home_slot = 0;

}  // namespace

struct ThreadTeam::State {
  // Claiming comes first, reading body and context second: a claimed share keeps the loop from ending, so they are stable.
  alignas(64) std::atomic<uint64_t> open{0};
  std::atomic<Body> body{nullptr};
  std::atomic<void*> context{nullptr};
  alignas(64) std::atomic<uint32_t> unfinished{0};
  std::atomic<bool> caller_asleep{false};
  alignas(64) std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> wake_epoch{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;

  bool claim_low(int& share) noexcept {
    uint64_t word = open.load(std::memory_order_acquire);
    while (any(word)) {
      const Open range = unpack(word);
      if (open.compare_exchange_weak(word, pack({range.low + 1, range.high}), std::memory_order_acq_rel)) {
        share = static_cast<int>(range.low);
        return true;
      }
    }
    return false;
  }

  bool claim_high(int& share) noexcept {
    uint64_t word = open.load(std::memory_order_acquire);
    while (any(word)) {
      const Open range = unpack(word);
      if (open.compare_exchange_weak(word, pack({range.low, range.high - 1}), std::memory_order_acq_rel)) {
        share = static_cast<int>(range.high - 1);
        return true;
      }
    }
    return false;
  }

  void run_claimed(int share) noexcept {
    body.load(std::memory_order_relaxed)(context.load(std::memory_order_relaxed), share);
  }

  // The caller sleeps only after it has set caller_asleep; both sides use one total order, so one of them sees the other.
  void finish(uint32_t count) noexcept {
    if (unfinished.fetch_sub(count, std::memory_order_seq_cst) == count && caller_asleep.load(std::memory_order_seq_cst)) {
      futex_wake(unfinished, 1);
    }
  }

  void work(int slot) noexcept {
    running_team = this;
    home_team = this;
    home_slot = slot;
    while (!stop.load(std::memory_order_acquire)) {
      int share;
      while (claim_high(share)) {
        run_claimed(share);
        finish(1);
      }
      const auto wanted = [this] {
        return any(open.load(std::memory_order_relaxed)) || stop.load(std::memory_order_relaxed);
      };
      if (!spin_until(wanted, kWorkerSpin)) sleep();
    }
  }

  void sleep() noexcept {
    const uint32_t epoch = wake_epoch.load(std::memory_order_acquire);
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    if (!any(open.load(std::memory_order_seq_cst)) && !stop.load(std::memory_order_seq_cst)) futex_wait(wake_epoch, epoch);
    sleepers.fetch_sub(1, std::memory_order_seq_cst);
  }

  void wake(uint32_t wanted) noexcept {
    const uint32_t asleep = sleepers.load(std::memory_order_seq_cst);
    if (asleep == 0) return;
    wake_epoch.fetch_add(1, std::memory_order_acq_rel);
    futex_wake(wake_epoch, static_cast<int>(std::min(asleep, wanted)));
  }

  void wait_for_workers() noexcept {
    const auto done = [this] { return unfinished.load(std::memory_order_acquire) == 0; };
    if (spin_until(done, kCallerSpin)) return;
    caller_asleep.store(true, std::memory_order_seq_cst);
    for (uint32_t left; (left = unfinished.load(std::memory_order_seq_cst)) != 0;) futex_wait(unfinished, left);
    caller_asleep.store(false, std::memory_order_relaxed);
  }
};

ThreadTeam::ThreadTeam(int threads) : state_(std::make_unique<State>()) {
  if (threads < 0) fail(ErrorCode::kInvalidArgument, "thread team: wanted 0 or more threads, found {}", threads);
  const int size = threads == 0 ? available_cpus() : threads;
  state_->workers.reserve(static_cast<size_t>(size - 1));
  for (int i = 1; i < size; ++i) state_->workers.emplace_back([state = state_.get(), i] { state->work(i); });
}

ThreadTeam::~ThreadTeam() {
  state_->stop.store(true, std::memory_order_seq_cst);
  state_->wake_epoch.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(state_->wake_epoch, INT_MAX);
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadTeam::size() const noexcept { return static_cast<int>(state_->workers.size()) + 1; }

int ThreadTeam::slot() const noexcept { return home_team == state_.get() ? home_slot : 0; }

void ThreadTeam::run(int shares, Body body, void* context) {
  State& state = *state_;
  if (shares <= 1 || state.workers.empty() || running_team == &state) {
    for (int share = 0; share < shares; ++share) body(context, share);
    return;
  }
  state.body.store(body, std::memory_order_relaxed);
  state.context.store(context, std::memory_order_relaxed);
  state.unfinished.store(static_cast<uint32_t>(shares), std::memory_order_relaxed);
  state.open.store(pack({0, static_cast<uint32_t>(shares)}), std::memory_order_seq_cst);
  state.wake(static_cast<uint32_t>(shares - 1));

  const void* outer = running_team;
  running_team = &state;
  uint32_t own = 0;
  for (int share; state.claim_low(share); ++own) body(context, share);
  running_team = outer;
  if (state.unfinished.fetch_sub(own, std::memory_order_acq_rel) != own) state.wait_for_workers();
}

namespace {

// CPUs that a quota of `quota` µs in every `period` µs comes to, rounded up; INT_MAX without one.
int quota_cpus(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return INT_MAX;
  const double cpus = quota / period;
  return cpus >= 4096 ? INT_MAX : static_cast<int>(cpus) + (cpus > static_cast<int>(cpus) ? 1 : 0);
}

int cgroup_v2_limit(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max") return INT_MAX;
  return quota_cpus(std::strtod(quota.c_str(), nullptr), period);
}

int cgroup_v1_limit(const std::string& folder) {
  double quota = 0, period = 0;
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
  if (!(quota_file >> quota) || !(period_file >> period)) return INT_MAX;
  return quota_cpus(quota, period);
}

// The tightest limit from `path` up to the root of the hierarchy mounted at `mount`.
int tightest(const std::string& mount, std::string path, int (*limit)(const std::string&)) {
  int cpus = INT_MAX;
  while (!path.empty() && path != "/") {
    cpus = std::min(cpus, limit(mount + path));
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
  return std::min(cpus, limit(mount));
}

int cgroup_cpus() {
  int cpus = INT_MAX;
  std::ifstream file("/proc/self/cgroup");  // lines "id:controllers:path"; version 2 has no controllers
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string id, controllers, path;
    if (!std::getline(fields, id, ':') || !std::getline(fields, controllers, ':') || !std::getline(fields, path)) continue;
    if (controllers.empty()) {
      cpus = std::min(cpus, tightest("/sys/fs/cgroup", path, cgroup_v2_limit));
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      cpus = std::min(cpus, tightest("/sys/fs/cgroup/cpu", path, cgroup_v1_limit));
    }
  }
  return cpus;
}

int affinity_cpus() {
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<size_t>(capacity));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(capacity));
    const bool known = set != nullptr && sched_getaffinity(0, bytes, set) == 0;
    const int cpus = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return cpus;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

int ThreadTeam::available_cpus() { return std::max(1, std::min(affinity_cpus(), cgroup_cpus())); }

}  // namespace tenon
