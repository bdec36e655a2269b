#include "tfplugin/engine_file.h"

#include <unistd.h>

#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace tenon::tf {
namespace {

struct Table {
  std::mutex mutex;
  std::map<std::string, std::vector<const EngineFile*>, std::less<>> files;  // oldest first
};

Table& table() {
  static Table* table = new Table;  // files may be forgotten after static objects are gone
  return *table;
}

}  // namespace

EngineFile::EngineFile(std::string identity, std::string path) : identity_(std::move(identity)), path_(std::move(path)) {
  const std::lock_guard lock(table().mutex);
  table().files[identity_].push_back(this);
}

EngineFile::~EngineFile() {
  const std::lock_guard lock(table().mutex);
  const auto it = table().files.find(identity_);
  std::erase(it->second, this);
  if (it->second.empty()) table().files.erase(it);
}

std::string find_engine_file(const std::string& identity) {
  const std::lock_guard lock(table().mutex);
  const auto it = table().files.find(identity);
  if (it == table().files.end()) return {};
  for (auto file = it->second.rbegin(); file != it->second.rend(); ++file) {
    if (access((*file)->path().c_str(), R_OK) == 0) return (*file)->path();
  }
  return it->second.back()->path();
}

}  // namespace tenon::tf
