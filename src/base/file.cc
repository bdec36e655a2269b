#include "base/file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace tenon {
namespace {

constexpr std::size_t kBufferSize = 1 << 20;

[[noreturn]] void fail_io(const char* action, const std::filesystem::path& path, int error) {
  const ErrorCode code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  fail(code, "{} \"{}\" failed: {}", action, path.string(), std::strerror(error));
}

class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, const char* action)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail_io(action, path, errno);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

struct stat regular_file_status(int fd, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_io("reading", path, errno);
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::kIo, "reading \"{}\" failed: it is not a regular file", path.string());
  return status;
}

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io("writing", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Copies [begin, end) by the kernel, else through memory.
void copy_range(int from, int to, off_t begin, off_t end, const std::filesystem::path& target) {
  off_t read_at = begin, write_at = begin;
  while (read_at < end) {
    const ssize_t copied = ::copy_file_range(from, &read_at, to, &write_at, static_cast<std::size_t>(end - read_at), 0);
    if (copied > 0) continue;
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT)) fail_io("writing", target, errno);
    break;
  }
  std::string buffer;
  while (read_at < end) {
    buffer.resize(std::min<std::size_t>(kBufferSize, static_cast<std::size_t>(end - read_at)));
    const ssize_t got = ::pread(from, buffer.data(), buffer.size(), read_at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io("copying to", target, errno);
    if (got == 0) fail(ErrorCode::kIo, "copying to \"{}\" failed: the source became shorter meanwhile", target.string());
    if (::lseek(to, read_at, SEEK_SET) < 0) fail_io("writing", target, errno);
    write_all(to, {buffer.data(), static_cast<std::size_t>(got)}, target);
    read_at += got;
  }
}

// Copies what holds data and leaves holes as holes.
void copy_content(int from, int to, off_t size, const std::filesystem::path& target) {
  if (::ftruncate(to, size) != 0) fail_io("writing", target, errno);
  for (off_t position = 0; position < size;) {
    off_t begin = ::lseek(from, position, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) return;  // only a hole is left
    off_t end = begin < 0 ? size : ::lseek(from, begin, SEEK_HOLE);
    if (begin < 0) begin = position;  // the file system does not tell holes
    if (end < 0) end = size;
    copy_range(from, to, begin, std::min(end, size), target);
    position = end;
  }
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY, "opening");
  const struct stat status = regular_file_status(file.get(), path);
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  if (status.st_size == 0) return mapped;
  void* data = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail_io("mapping", path, errno);
  mapped->data_ = static_cast<const char*>(data);
  mapped->size_ = static_cast<std::size_t>(status.st_size);
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY, "opening");
  const struct stat status = regular_file_status(file.get(), path);
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io("reading", path, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

FileWriter::FileWriter(const std::filesystem::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_io("creating", path, errno);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void FileWriter::append(std::string_view bytes) {
  if (buffer_.size() + bytes.size() >= kBufferSize) flush();
  if (bytes.size() < kBufferSize) {
    buffer_.append(bytes);
    return;
  }
  write_all(fd_, bytes, path_);
  position_ += bytes.size();
}

void FileWriter::skip(std::uint64_t bytes) {
  flush();
  position_ += bytes;
  if (::lseek(fd_, static_cast<off_t>(position_), SEEK_SET) < 0) fail_io("writing", path_, errno);
}

void FileWriter::flush() {
  write_all(fd_, buffer_, path_);
  position_ += buffer_.size();
  buffer_.clear();
}

void FileWriter::close() {
  flush();
  if (::ftruncate(fd_, static_cast<off_t>(position_)) != 0 || ::fsync(fd_) != 0) fail_io("writing", path_, errno);
  if (::close(std::exchange(fd_, -1)) != 0) fail_io("writing", path_, errno);
}

void write_whole_file(const std::filesystem::path& path, std::string_view bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    const Descriptor stream(path, O_WRONLY, "opening");
    write_all(stream.get(), bytes, path);
    return;
  }
  // Behind a link it is the file that is replaced, not the link.
  const std::filesystem::path target = std::filesystem::weakly_canonical(path, error);
  if (error) fail(ErrorCode::kIo, "writing \"{}\" failed: {}", path.string(), error.message());
  std::filesystem::path fresh = target;
  fresh += fmt::format(".{}.new", ::getpid());
  std::filesystem::remove(fresh, error);
  try {
    FileWriter file(fresh);
    file.append(bytes);
    file.close();
    std::filesystem::rename(fresh, target, error);
    if (error) fail(ErrorCode::kIo, "writing \"{}\" failed: {}", path.string(), error.message());
  } catch (const Error&) {
    std::error_code ignored;
    std::filesystem::remove(fresh, ignored);
    throw;
  }
}

void copy_file(const std::filesystem::path& from, const std::filesystem::path& to, bool allow_link) {
  if (allow_link && ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) return;
  const Descriptor source(from, O_RDONLY, "opening");
  const struct stat status = regular_file_status(source.get(), from);
  const Descriptor target(to, O_WRONLY | O_CREAT | O_EXCL, "creating");
  if (::ioctl(target.get(), FICLONE, source.get()) != 0) copy_content(source.get(), target.get(), status.st_size, to);
  if (::fsync(target.get()) != 0) fail_io("writing", to, errno);
}

}  // namespace tenon
