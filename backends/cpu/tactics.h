// Which way of running a step was fastest: measured while compiling, looked up when loading.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "backends/cpu/lowering/lowering.h"
#include "backend/backend.h"

namespace tenon::cpu {

class TacticChooser {
 public:
  virtual ~TacticChooser() = default;
  // The index of the candidate to use. `seconds(i)` times candidate i.
  virtual std::size_t choose(const std::string& key, std::span<const Candidate> candidates,
                             const std::function<double(std::size_t)>& seconds) = 0;
};

// The choices of a plan: what was found best, by key. Work that is not in the table takes its first candidate.
class TacticTable : public TacticChooser {
 public:
  TacticTable() = default;
  // Throws kIncompatiblePlan for bytes that serialize() did not write.
  explicit TacticTable(std::string_view bytes);
  std::string serialize() const;
  void insert(const std::string& key, const std::string& name) { names_[key] = name; }
  bool has(const std::string& key) const { return names_.contains(key); }
  std::size_t choose(const std::string& key, std::span<const Candidate> candidates,
                     const std::function<double(std::size_t)>& seconds) override;

 private:
  std::map<std::string, std::string, std::less<>> names_;
};

// Takes times from the cache, measures what it lacks, and fills a table.
class TacticTuner : public TacticChooser {
 public:
  TacticTuner(const CompileOptions& options, plan::Stamp stamp, TacticTable& table)
      : options_(options), stamp_(std::move(stamp)), table_(table) {}
  std::size_t choose(const std::string& key, std::span<const Candidate> candidates,
                     const std::function<double(std::size_t)>& seconds) override;

 private:
  const CompileOptions& options_;
  plan::Stamp stamp_;
  TacticTable& table_;
};

}  // namespace tenon::cpu
