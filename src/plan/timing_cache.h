// Measured times of kernels, kept in a file so that a rebuild measures nothing and gives the same engine.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "plan/engine.h"

namespace tenon::plan {

// Times by key. A key names op, shapes, precision and tactic; the stamp (device, instruction set, libraries, build) is added
// here. Thread-safe.
class TimingCache {
 public:
  // Seconds of the tactic, when it was measured on this stamp.
  std::optional<double> find(const Stamp& stamp, const std::string& key) const;
  void insert(const Stamp& stamp, const std::string& key, double seconds);
  std::size_t size() const;

  // Adds a file's entries. A missing file is an empty cache; a bad one is ignored, and the result says why in one line.
  std::string load(const std::filesystem::path& path);
  // Replaces the file in one step. Throws kIo.
  void save(const std::filesystem::path& path) const;

 private:
  static std::string full_key(const Stamp& stamp, const std::string& key);
  mutable std::mutex mutex_;
  std::map<std::string, double> seconds_;
};

}  // namespace tenon::plan
