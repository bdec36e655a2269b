#include "tfplugin/engine_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
  std::map<std::string, std::weak_ptr<const HeldFile>, std::less<>> held;    // by identity
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

HeldFile::~HeldFile() {
  if (bytes_.data() != nullptr) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

std::shared_ptr<const HeldFile> hold_file(const std::string& identity, const std::string& path) {
  const std::lock_guard lock(table().mutex);
  std::erase_if(table().held, [](const auto& entry) { return entry.second.expired(); });
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return nullptr;
  struct stat status {};
  std::shared_ptr<HeldFile> file(new HeldFile);
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    const auto size = static_cast<std::size_t>(status.st_size);
    file->device_ = status.st_dev;
    file->inode_ = status.st_ino;
    file->written_ = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
    const auto it = table().held.find(identity);
    const auto known = it == table().held.end() ? nullptr : it->second.lock();
    if (known && known->device_ == file->device_ && known->inode_ == file->inode_ && known->written_ == file->written_ &&
        known->bytes_.size() == size) {
      close(descriptor);
      return known;
    }
    void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data != MAP_FAILED) file->bytes_ = {static_cast<const char*>(data), size};
  }
  close(descriptor);
  if (file->bytes_.empty()) return nullptr;
  table().held[identity] = file;
  return file;
}

std::shared_ptr<const HeldFile> find_held_file(const std::string& identity) {
  const std::lock_guard lock(table().mutex);
  const auto it = table().held.find(identity);
  return it == table().held.end() ? nullptr : it->second.lock();
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
