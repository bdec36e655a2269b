#include "plan/timing_cache.h"

#include <cstdlib>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace tenon::plan {
namespace {

constexpr std::string_view kFirstLine = "tenon timing cache 1\n";

// Splits off the text before `separator`; nothing when there is none.
std::optional<std::string_view> split(std::string_view& text, char separator) {
  const auto end = text.find(separator);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view head = text.substr(0, end);
  text.remove_prefix(end + 1);
  return head;
}

bool read_entries(std::string_view text, std::map<std::string, double>& entries) {
  if (!text.starts_with(kFirstLine)) return false;
  text.remove_prefix(kFirstLine.size());
  const auto checksum = split(text, '\n');
  if (!checksum || *checksum != hash128(text).to_string()) return false;
  while (!text.empty()) {
    const auto number = split(text, '\t');
    const auto key = split(text, '\n');
    if (!number || !key) return false;
    const double seconds = std::strtod(std::string(*number).c_str(), nullptr);
    if (!std::isfinite(seconds) || seconds < 0) return false;
    entries[std::string(*key)] = seconds;
  }
  return true;
}

}  // namespace

std::string TimingCache::full_key(const Stamp& stamp, const std::string& key) {
  std::string full = stamp.to_string() + " | " + key;
  for (char& c : full) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  return full;
}

std::optional<double> TimingCache::find(const Stamp& stamp, const std::string& key) const {
  const std::string full = full_key(stamp, key);
  std::lock_guard lock(mutex_);
  const auto it = seconds_.find(full);
  if (it == seconds_.end()) return std::nullopt;
  return it->second;
}

void TimingCache::insert(const Stamp& stamp, const std::string& key, double seconds) {
  std::string full = full_key(stamp, key);
  std::lock_guard lock(mutex_);
  seconds_.insert_or_assign(std::move(full), seconds);
}

std::size_t TimingCache::size() const {
  std::lock_guard lock(mutex_);
  return seconds_.size();
}

std::string TimingCache::load(const std::filesystem::path& path) {
  std::map<std::string, double> entries;
  try {
    if (!std::filesystem::exists(path)) return {};
    if (!read_entries(read_file(path), entries)) return "timing cache " + path.string() + " is damaged or of another version: ignored";
  } catch (const std::exception& error) {
    return "timing cache " + path.string() + " cannot be read (" + error.what() + "): ignored";
  }
  std::lock_guard lock(mutex_);
  seconds_.merge(entries);
  return {};
}

void TimingCache::save(const std::filesystem::path& path) const {
  std::string body;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, seconds] : seconds_) body += fmt::format("{:.17g}\t{}\n", seconds, key);
  }
  write_whole_file(path, std::string(kFirstLine) + hash128(body).to_string() + "\n" + body);
}

}  // namespace tenon::plan
