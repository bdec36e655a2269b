// Where stored engines lie, by identity. A model's initializer names the files; engine nodes ask when they are first called.
// Nodes on other devices than the initializer's, whose resource managers do not know the file, ask the whole process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tenon::tf {

// One model's file of an engine. It is known to the process as long as the object lives. Thread-safe.
class EngineFile {
 public:
  EngineFile(std::string identity, std::string path);
  ~EngineFile();
  EngineFile(const EngineFile&) = delete;
  EngineFile& operator=(const EngineFile&) = delete;

  const std::string& identity() const noexcept { return identity_; }
  const std::string& path() const noexcept { return path_; }

 private:
  const std::string identity_;
  const std::string path_;
};

// The content of a file as it was found, whatever becomes of its path: models may be moved or deleted once they are loaded.
class HeldFile {
 public:
  ~HeldFile();
  HeldFile(const HeldFile&) = delete;
  HeldFile& operator=(const HeldFile&) = delete;
  std::string_view bytes() const noexcept { return bytes_; }

 private:
  friend std::shared_ptr<const HeldFile> hold_file(const std::string& identity, const std::string& path);
  HeldFile() = default;

  std::string_view bytes_;  // mapped, not read
  dev_t device_ = 0;        // which file it is
  ino_t inode_ = 0;
  std::int64_t written_ = 0;
};

// Holds what is at `path` now, as the engine of that identity; null when there is nothing, or no file, or an empty one. Who
// holds the same file shares it.
std::shared_ptr<const HeldFile> hold_file(const std::string& identity, const std::string& path);
// The newest that somebody holds for this identity; null when nobody does.
std::shared_ptr<const HeldFile> find_held_file(const std::string& identity);

// The newest file of this identity that exists, else the newest one; empty when none is known.
std::string find_engine_file(const std::string& identity);

}  // namespace tenon::tf
