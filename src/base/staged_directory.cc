#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".tenon-";
constexpr std::string_view kOldMark = ".tenon-old-";

fs::path sibling(const fs::path& target, std::string_view mark) {
  std::random_device random;
  const std::uint64_t tag = std::uint64_t{random()} << 32 | random();
  return target.parent_path() / fmt::format(".{}{}{}-{:016x}", target.filename().string(), mark, ::getpid(), tag);
}

// The lock says that the folder's writer is alive; it goes with the process. -1 when somebody else holds it or on failure.
int lock_directory(const fs::path& directory) noexcept {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

void unlock(int fd) noexcept {
  if (fd >= 0) ::close(fd);
}

bool is_linked(int fd) noexcept {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_nlink > 0;
}

void sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && (::fsync(fd) == 0 || errno == EINVAL);
  const int error = errno;
  unlock(fd);
  if (!synced) fail(ErrorCode::kIo, "syncing \"{}\" failed: {}", directory.string(), std::strerror(error));
}

void sync_tree(const fs::path& directory) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_directory()) sync_directory(entry.path());
  }
  sync_directory(directory);
}

std::vector<fs::path> leftovers(const fs::path& target) {
  const std::string prefix = fmt::format(".{}{}", target.filename().string(), kMark);
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(target.parent_path(), error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().starts_with(prefix)) found.push_back(entry->path());
  }
  return found;
}

// The path that the folder has or will have, symbolic links resolved: siblings of a link's target share its file system.
fs::path resolve(const fs::path& target) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(fs::absolute(target), error);
  if (error) fail(ErrorCode::kIo, "resolving \"{}\" failed: {}", target.string(), error.message());
  if (!resolved.has_filename()) resolved = resolved.parent_path();
  if (!resolved.has_filename()) fail(ErrorCode::kInvalidArgument, "\"{}\" cannot be replaced", target.string());
  return resolved;
}

bool exists_and_not_empty(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return fs::exists(status) && !(fs::is_directory(status) && fs::is_empty(path, error));
}

[[noreturn]] void fail_commit(const fs::path& target, int error) {
  fail(ErrorCode::kIo, "moving the finished folder to \"{}\" failed: {}", target.string(), std::strerror(error));
}

// For file systems that cannot exchange two names in one step: a crash between the two renames is what
// repair_interrupted_write mends.
void replace_by_two_renames(const fs::path& staging, const fs::path& target) {
  const fs::path aside = sibling(target, kOldMark);
  const int lock = lock_directory(target);
  if (::rename(target.c_str(), aside.c_str()) != 0) {
    const int error = errno;
    unlock(lock);
    fail_commit(target, error);
  }
  if (::rename(staging.c_str(), target.c_str()) != 0) {
    const int error = errno;
    const bool restored = ::rename(aside.c_str(), target.c_str()) == 0;
    unlock(lock);
    fail(ErrorCode::kIo, "moving the finished folder to \"{}\" failed: {}{}", target.string(), std::strerror(error),
         restored ? "" : fmt::format("; the folder that stood there is now \"{}\"", aside.string()));
  }
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  unlock(lock);
}

}  // namespace

StagedDirectory::StagedDirectory(const fs::path& target, bool replace) : target_(resolve(target)), replace_(replace) {
  repair_interrupted_write(target_);
  if (!replace && exists_and_not_empty(target_)) {
    fail(ErrorCode::kInvalidArgument, "\"{}\" exists already; remove it, name another folder or ask to replace it",
         target_.string());
  }
  std::error_code error;
  fs::create_directories(target_.parent_path(), error);
  if (error) fail(ErrorCode::kIo, "creating \"{}\" failed: {}", target_.parent_path().string(), error.message());
  for (int attempt = 0; attempt < 16 && lock_ < 0; ++attempt) {
    staging_ = sibling(target_, kMark);
    if (::mkdir(staging_.c_str(), 0755) != 0) {
      fail(ErrorCode::kIo, "creating \"{}\" failed: {}", staging_.string(), std::strerror(errno));
    }
    lock_ = lock_directory(staging_);
    if (lock_ >= 0 && !is_linked(lock_)) unlock(std::exchange(lock_, -1));  // a cleaner was faster
    if (lock_ < 0) fs::remove_all(staging_, error);
  }
  if (lock_ < 0) fail(ErrorCode::kIo, "locking \"{}\" failed; its file system has no file locks", staging_.string());
}

StagedDirectory::~StagedDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(staging_, ignored);
  unlock(lock_);
}

void StagedDirectory::commit() {
  sync_tree(staging_);
  if (replace_ && exists_and_not_empty(target_)) {
    if (::renameat2(AT_FDCWD, staging_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
      committed_ = true;
      std::error_code ignored;
      fs::remove_all(staging_, ignored);  // now the old content
    } else if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) {
      replace_by_two_renames(staging_, target_);
    } else {
      fail_commit(target_, errno);
    }
  } else if (::rename(staging_.c_str(), target_.c_str()) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST) {
      fail(ErrorCode::kInvalidArgument, "\"{}\" was filled by somebody else meanwhile", target_.string());
    }
    fail_commit(target_, errno);
  }
  committed_ = true;
  sync_directory(target_.parent_path());
}

void repair_interrupted_write(const fs::path& target) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(fs::absolute(target), error);
  if (error) return;
  if (!resolved.has_filename()) resolved = resolved.parent_path();
  const std::string old_prefix = fmt::format(".{}{}", resolved.filename().string(), kOldMark);
  for (const fs::path& leftover : leftovers(resolved)) {
    const int lock = lock_directory(leftover);
    if (lock < 0) continue;  // its writer is alive
    const bool was_target = leftover.filename().string().starts_with(old_prefix);
    if (was_target && !fs::exists(resolved, error)) {
      fs::rename(leftover, resolved, error);
    } else {
      fs::remove_all(leftover, error);
    }
    unlock(lock);
  }
}

}  // namespace tenon
