#include "savedmodel/table.h"

#include <snappy.h>

#include <algorithm>
#include <cstring>
#include <protozero/varint.hpp>
#include <utility>

#include "base/crc32c.h"
#include "base/error.h"

namespace tenon::saved {
namespace {

constexpr std::uint64_t kMagic = 0xdb4775248b80fb57ull;
constexpr std::size_t kFooterSize = 48;  // two block handles, padded to 40 bytes, and the magic number
constexpr std::size_t kTrailerSize = 5;  // behind each block: its compression and a masked CRC-32C
constexpr char kNoCompression = 0;
constexpr char kSnappy = 1;
constexpr std::size_t kRestartInterval = 16;
constexpr std::size_t kBlockSize = 256 << 10;
// Snappy cannot compress better than about 1:21; a block that claims more is not to be believed.
constexpr std::size_t kMaxExpansion = 64;

template <class... Args>
[[noreturn]] void fail_table(fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorCode::kInvalidModel, "table: {}", fmt::format(format, std::forward<Args>(args)...));
}

std::uint32_t load32(const char* bytes) noexcept {
  std::uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <class T>
void append_fixed(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_varint(std::string& out, std::uint64_t value) { protozero::write_varint(std::back_inserter(out), value); }

std::uint64_t take_varint(std::string_view& bytes) {
  const char* position = bytes.data();
  try {
    const std::uint64_t value = protozero::decode_varint(&position, bytes.data() + bytes.size());
    bytes.remove_prefix(static_cast<std::size_t>(position - bytes.data()));
    return value;
  } catch (const protozero::exception&) {
    fail_table("a number is cut short");
  }
}

std::string_view take_bytes(std::string_view& bytes, std::uint64_t size) {
  if (size > bytes.size()) fail_table("an entry of {} bytes reaches past the end of its block", size);
  const std::string_view taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return taken;
}

struct BlockHandle {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

BlockHandle take_handle(std::string_view& bytes) {
  const std::uint64_t offset = take_varint(bytes);
  return {offset, take_varint(bytes)};
}

std::string uncompress(std::string_view compressed, const BlockHandle& handle) {
  std::size_t size = 0;
  std::string content;
  const bool sized = snappy::GetUncompressedLength(compressed.data(), compressed.size(), &size);
  if (!sized || size / kMaxExpansion > compressed.size())
    fail_table("the block at {} is not valid snappy data", handle.offset);
  content.resize(size);
  if (!snappy::RawUncompress(compressed.data(), compressed.size(), content.data())) {
    fail_table("the block at {} is not valid snappy data", handle.offset);
  }
  return content;
}

// A block's content: entries, restart offsets, their number.
std::string read_block(std::string_view file, const BlockHandle& handle) {
  if (handle.size > file.size() || handle.offset > file.size() - handle.size ||
      file.size() - handle.size - handle.offset < kTrailerSize) {
    fail_table("a block of {} bytes at {} reaches past the end of the file ({} bytes)", handle.size, handle.offset,
               file.size());
  }
  const std::string_view stored = file.substr(handle.offset, handle.size);
  const char* trailer = stored.data() + stored.size();
  const std::uint32_t wanted = unmask_crc32c(load32(trailer + 1));
  if (crc32c({trailer, 1}, crc32c(stored)) != wanted) fail_table("the checksum of the block at {} is wrong", handle.offset);
  if (*trailer == kNoCompression) return std::string(stored);
  if (*trailer == kSnappy) return uncompress(stored, handle);
  fail(ErrorCode::kUnsupported, "table: the block at {} is compressed in way {}; only snappy is known", handle.offset,
       static_cast<int>(*trailer));
}

// Calls each(key, value) for every entry of a block's content.
template <class F>
void for_each_block_entry(std::string_view content, F&& each) {
  if (content.size() < 4) fail_table("a block is too short");
  const std::uint64_t restarts = load32(content.data() + content.size() - 4);
  if (restarts > (content.size() - 4) / 4) fail_table("a block has {} restart points in {} bytes", restarts, content.size());
  std::string_view rest = content.substr(0, content.size() - 4 - 4 * restarts);
  std::string key;
  while (!rest.empty()) {
    const std::uint64_t shared = take_varint(rest);
    const std::uint64_t unshared = take_varint(rest);
    const std::uint64_t value_size = take_varint(rest);
    if (shared > key.size()) fail_table("a key shares {} bytes with one of {}", shared, key.size());
    key.resize(shared);
    key += take_bytes(rest, unshared);
    each(std::string_view(key), take_bytes(rest, value_size));
  }
}

}  // namespace

void for_each_table_entry(std::string_view table, const std::function<void(std::string_view, std::string_view)>& each) {
  if (table.size() < kFooterSize) fail_table("{} bytes are too few for a table", table.size());
  std::string_view footer = table.substr(table.size() - kFooterSize);
  std::uint64_t magic;
  std::memcpy(&magic, footer.data() + kFooterSize - sizeof magic, sizeof magic);
  if (magic != kMagic) fail_table("the magic number at its end is {:#x}, wanted {:#x}", magic, kMagic);
  take_handle(footer);  // of the index of meta blocks, which hold nothing that is needed
  const std::string index = read_block(table, take_handle(footer));
  std::string last_key;
  bool first = true;
  std::uint64_t next_block = 0;
  for_each_block_entry(index, [&](std::string_view, std::string_view value) {
    const BlockHandle handle = take_handle(value);
    // Blocks follow each other: a block named twice could make a small file endless.
    if (handle.offset < next_block) fail_table("the block at {} is named out of order", handle.offset);
    next_block = handle.offset + std::min(handle.size, table.size()) + 1;
    for_each_block_entry(read_block(table, handle), [&](std::string_view key, std::string_view entry) {
      if (!first && key <= last_key) fail_table("key \"{}\" is out of order", key);
      first = false;
      last_key = key;
      each(key, entry);
    });
  });
}

void TableBuilder::Block::add(std::string_view key, std::string_view value) {
  std::size_t shared = 0;
  if (since_restart == kRestartInterval) {
    restarts.push_back(bytes.size());
    since_restart = 0;
  } else {
    const auto [mine, theirs] = std::mismatch(key.begin(), key.end(), last_key.begin(), last_key.end());
    shared = since_restart == 0 ? 0 : static_cast<std::size_t>(mine - key.begin());
  }
  append_varint(bytes, shared);
  append_varint(bytes, key.size() - shared);
  append_varint(bytes, value.size());
  bytes += key.substr(shared);
  bytes += value;
  last_key = key;
  ++since_restart;
}

std::string TableBuilder::Block::finish() {
  for (std::size_t restart : restarts) append_fixed(bytes, static_cast<std::uint32_t>(restart));
  append_fixed(bytes, static_cast<std::uint32_t>(restarts.size()));
  return std::exchange(*this, {}).bytes;
}

std::string TableBuilder::write_block(std::string content) {
  char type = kNoCompression;
  if (compress_) {
    std::string compressed;
    snappy::Compress(content.data(), content.size(), &compressed);
    content = std::move(compressed);
    type = kSnappy;
  }
  std::string handle;
  append_varint(handle, file_.size());
  append_varint(handle, content.size());
  content += type;
  file_ += content;
  append_fixed(file_, mask_crc32c(crc32c(content)));
  return handle;
}

void TableBuilder::flush() {
  if (data_.bytes.empty()) return;
  const std::string last_key = data_.last_key;
  index_.add(last_key, write_block(data_.finish()));
}

void TableBuilder::add(std::string_view key, std::string_view value) {
  TENON_CHECK(data_.bytes.empty() || key > data_.last_key);
  data_.add(key, value);
  if (data_.bytes.size() >= kBlockSize) flush();
}

std::string TableBuilder::finish() {
  flush();
  std::string footer = write_block(Block{}.finish());  // no meta blocks
  footer += write_block(index_.finish());
  footer.resize(kFooterSize - sizeof kMagic);
  append_fixed(footer, kMagic);
  return std::exchange(file_, {}) + footer;
}

}  // namespace tenon::saved
