#include "backends/cpu/tactics.h"

#include <limits>

#include "base/error.h"
#include "plan/bytes.h"
#include "plan/timing_cache.h"

namespace tenon::cpu {

TacticTable::TacticTable(std::string_view bytes) {
  plan::ByteReader in(bytes);
  const std::size_t count = in.count(16);
  for (std::size_t i = 0; i < count; ++i) {
    std::string key = in.string();
    names_[std::move(key)] = in.string();
  }
  if (!in.at_end()) fail(ErrorCode::kIncompatiblePlan, "plan: bytes are left after the tactics");
}

std::string TacticTable::serialize() const {
  plan::ByteWriter out;
  out.count(names_.size());
  for (const auto& [key, name] : names_) {
    out.text(key);
    out.text(name);
  }
  return out.take();
}

std::size_t TacticTable::choose(const std::string& key, std::span<const Candidate> candidates,
                                const std::function<double(std::size_t)>&) {
  const auto it = names_.find(key);
  if (it == names_.end()) return 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].name == it->second) return i;
  }
  return 0;
}

std::size_t TacticTuner::choose(const std::string& key, std::span<const Candidate> candidates,
                                const std::function<double(std::size_t)>& seconds) {
  if (options_.cancel != nullptr && options_.cancel->load()) fail(ErrorCode::kCancelled, "engine: building was cancelled");
  if (table_.has(key)) return table_.choose(key, candidates, seconds);
  const std::string full = fmt::format("{} {} threads {}", options_.precision.name(), options_.threads, key);
  // The first candidate is what experience says; others must be clearly faster, as times are never exact.
  constexpr double kWorthwhile = 0.96;
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity(), first = least;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string timed = full + " : " + candidates[i].name;
    auto time = options_.timing_cache ? options_.timing_cache->find(stamp_, timed) : std::nullopt;
    if (!time && options_.measure) {
      time = seconds(i);
      if (options_.timing_cache) options_.timing_cache->insert(stamp_, timed, *time);
    }
    if (!time) continue;
    if (i == 0) first = *time;
    if (*time < least) {
      least = *time;
      best = i;
    }
  }
  if (least > kWorthwhile * first) best = 0;
  if (!candidates.empty()) table_.insert(key, candidates[best].name);
  return best;
}

}  // namespace tenon::cpu
