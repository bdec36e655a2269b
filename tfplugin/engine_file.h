// Where stored engines lie, by identity. A model's initializer names the files; engine nodes ask when they are first called.
// Nodes on other devices than the initializer's, whose resource managers do not know the file, ask the whole process.
#pragma once

#include <memory>
#include <string>

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

// The newest file of this identity that exists, else the newest one; empty when none is known.
std::string find_engine_file(const std::string& identity);

}  // namespace tenon::tf
