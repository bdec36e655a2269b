// Read-only mapped files, whole-file reads, and folders that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace tenon {

// A file mapped read-only. The bytes stay valid as long as the object lives, also when the file is deleted or replaced; a
// file that is *truncated in place* meanwhile makes later accesses fail with SIGBUS, which is why Tenon replaces files by
// renaming and never writes into an existing one.
class MappedFile {
 public:
  // Throws kNotFound when there is no such file, kIo when it cannot be mapped.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const noexcept { return {data_, size_}; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

// The whole file. Throws kNotFound or kIo.
std::string read_file(const std::filesystem::path& path);

// A new file that is written front to back. Every failure (also a full disk) throws kIo naming the file.
class FileWriter {
 public:
  // Creates `path`, which must not exist.
  explicit FileWriter(const std::filesystem::path& path);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void append(std::string_view bytes);
  // Moves on without writing; what is skipped reads as zeros and takes no room on disk.
  void skip(std::uint64_t bytes);
  std::uint64_t position() const noexcept { return position_ + buffer_.size(); }
  // Flushes, syncs to disk and closes; must be called, else the file counts as failed.
  void close();

 private:
  void flush();
  std::filesystem::path path_;
  std::string buffer_;
  std::uint64_t position_ = 0;
  int fd_ = -1;
};

// Writes a file beside its target and moves it there: a reader sees the old content or the new, never a part, and a failure
// leaves nothing. What is no regular file (a pipe, a device) is written as it stands. Throws kIo.
void write_whole_file(const std::filesystem::path& path, std::string_view bytes);

// Copies a file's content (by reference where the file system can) or, with `allow_link`, makes a hard link where possible.
void copy_file(const std::filesystem::path& from, const std::filesystem::path& to, bool allow_link);

// A folder that is filled beside its target and then takes the target's place in one step. Until commit() the target is
// untouched; after a crash or kill the leftovers beside it are hidden (".NAME.tenon-…") and are removed by the next writer.
class StagedDirectory {
 public:
  // Throws kInvalidArgument when `target` exists (and is not an empty folder) and `replace` is false, kIo when its parent
  // cannot be written. Missing parents are created.
  StagedDirectory(const std::filesystem::path& target, bool replace);
  // Removes the folder unless it was committed.
  ~StagedDirectory();
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  // Where to write.
  const std::filesystem::path& path() const noexcept { return staging_; }
  // Syncs everything and moves the folder to its target. What stood there before is removed.
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
  bool replace_ = false;
  bool committed_ = false;
  int lock_ = -1;
};

// Puts back a folder that a crash inside StagedDirectory::commit left renamed aside, and removes stale leftovers of writers
// that are gone. Does nothing when there are none. Never throws for lack of permission.
void repair_interrupted_write(const std::filesystem::path& target);

}  // namespace tenon
