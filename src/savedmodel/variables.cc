#include "savedmodel/variables.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <protozero/varint.hpp>
#include <utility>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "savedmodel/decode.h"
#include "savedmodel/table.h"
#include "savedmodel/tensor_proto.h"
#include "savedmodel/tensor_slice.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

namespace fs = std::filesystem;

// The newest bundle format that there is; a bundle may ask for a newer reader.
constexpr int kFormatVersion = 1;

struct BundleHeader {
  int shards = 1;
  int endianness = 0;
  int min_consumer = 0;
};

int decode_min_consumer(std::string_view bytes) {
  int min_consumer = 0;
  for (Fields fields(bytes, "VersionDef"); fields.next();) {
    if (fields.number() == 2) {
      min_consumer = fields.int32();
    } else {
      fields.skip();
    }
  }
  return min_consumer;
}

BundleHeader decode_header(std::string_view bytes) {
  BundleHeader header;
  for (Fields fields(bytes, "BundleHeaderProto"); fields.next();) {
    switch (fields.number()) {
      case 1:
        header.shards = fields.int32();
        break;
      case 2:
        header.endianness = fields.int32();
        break;
      case 3:
        header.min_consumer = decode_min_consumer(fields.bytes());
        break;
      default:
        fields.skip();
    }
  }
  if (header.endianness != 0) fail(ErrorCode::kUnsupported, "the checkpoint is big-endian");
  if (header.min_consumer > kFormatVersion) {
    fail(ErrorCode::kUnsupported, "the checkpoint wants a reader of version {}, this one is {}", header.min_consumer,
         kFormatVersion);
  }
  if (header.shards < 0) fail(ErrorCode::kInvalidModel, "the checkpoint says it has {} shards", header.shards);
  return header;
}

BundleEntry decode_bundle_entry(std::string_view key, std::string_view bytes, int shards) {
  BundleEntry entry;
  entry.key = key;
  for (Fields fields(bytes, "BundleEntryProto"); fields.next();) {
    switch (fields.number()) {
      case 1:
        entry.dtype = fields.dtype();
        break;
      case 2:
        entry.shape = Shape(decode_shape(fields.bytes()).dims);
        break;
      case 3:
        entry.shard = fields.int32();
        break;
      case 4:
        entry.offset = fields.int64();
        break;
      case 5:
        entry.size = fields.int64();
        break;
      case 6:
        entry.masked_crc = fields.fixed32();
        break;
      case 7:
        entry.slices.push_back(decode_slice(fields.bytes()));
        break;
      default:
        fields.skip();
    }
  }
  const bool in_range = entry.shard >= 0 && entry.shard < shards && entry.offset >= 0 && entry.size >= 0;
  if (!in_range) {
    fail(ErrorCode::kInvalidModel, "entry \"{}\" (shard {} of {}, offset {}, {} bytes) is malformed", key, entry.shard,
         shards, entry.offset, entry.size);
  }
  checked_elements(entry.shape, key);
  return entry;
}

const BundleEntry* find_entry(const std::vector<BundleEntry>& entries, std::string_view key) noexcept {
  const auto found = std::lower_bound(entries.begin(), entries.end(), key,
                                      [](const BundleEntry& entry, std::string_view wanted) { return entry.key < wanted; });
  return found != entries.end() && found->key == key ? &*found : nullptr;
}

std::uint32_t extend_crc(std::uint32_t crc, const auto& value) {
  return crc32c({reinterpret_cast<const char*>(&value), sizeof value}, crc);
}

}  // namespace

struct Bundle::State {
  std::string name;  // for messages
  std::vector<BundleEntry> entries;
  std::vector<BundleEntry> parts;  // by encoded slice key
  std::vector<std::string_view> shards;
  std::vector<fs::path> files;
  std::shared_ptr<const void> owner;
  std::atomic<bool> verify_on_read{true};
  std::unique_ptr<std::atomic<bool>[]> verified;  // per entry, then per part

  void read_index(std::string_view index, int& shard_count);
  [[noreturn]] void fail_entry(const BundleEntry& entry, std::string_view key, const std::string& message) const;
  std::string_view bytes_of(const BundleEntry& entry, std::string_view key) const;
  void check_crc(const BundleEntry& entry, std::string_view key, std::uint32_t crc) const;
  std::atomic<bool>& verified_flag(const BundleEntry& entry) const;
  bool must_verify(const BundleEntry& entry) const { return verify_on_read && !verified_flag(entry); }
  Tensor read_strings(const BundleEntry& entry, const Shape& shape, std::string_view key) const;
  Tensor read_stored(const BundleEntry& entry, const Shape& shape, std::string_view key) const;
  Tensor read_box(const BundleEntry& entry, const TensorSlice& box) const;
  const BundleEntry& part(const BundleEntry& entry, const TensorSlice& slice) const;
  void check_parts(const BundleEntry& entry) const;
};

void Bundle::State::read_index(std::string_view index, int& shard_count) {
  bool first = true;
  BundleHeader header;
  for_each_table_entry(index, [&](std::string_view key, std::string_view value) {
    if (std::exchange(first, false)) {
      if (!key.empty()) fail(ErrorCode::kInvalidModel, "the index has no header");
      header = decode_header(value);
      return;
    }
    (is_slice_key(key) ? parts : entries).push_back(decode_bundle_entry(key, value, header.shards));
  });
  if (first) fail(ErrorCode::kInvalidModel, "the index is empty");
  shard_count = header.shards;
  verified = std::make_unique<std::atomic<bool>[]>(entries.size() + parts.size());
}

void Bundle::State::fail_entry(const BundleEntry& entry, std::string_view key, const std::string& message) const {
  const std::size_t file = static_cast<std::size_t>(entry.shard) + 1;
  fail(ErrorCode::kInvalidModel, "\"{}\": variable \"{}\": {}", file < files.size() ? files[file].string() : name, key,
       message);
}

std::string_view Bundle::State::bytes_of(const BundleEntry& entry, std::string_view key) const {
  const std::string_view shard = shards[static_cast<std::size_t>(entry.shard)];
  const auto offset = static_cast<std::size_t>(entry.offset);
  const auto size = static_cast<std::size_t>(entry.size);
  if (offset > shard.size() || size > shard.size() - offset) {
    fail_entry(entry, key,
               fmt::format("{} bytes at {} reach past the end of the shard ({} bytes)", size, offset, shard.size()));
  }
  return shard.substr(offset, size);
}

void Bundle::State::check_crc(const BundleEntry& entry, std::string_view key, std::uint32_t crc) const {
  if (unmask_crc32c(entry.masked_crc) != crc) fail_entry(entry, key, "its checksum is wrong; the file is damaged");
  verified_flag(entry) = true;
}

std::atomic<bool>& Bundle::State::verified_flag(const BundleEntry& entry) const {
  const bool is_part = is_slice_key(entry.key);
  const std::ptrdiff_t index = &entry - (is_part ? parts.data() : entries.data());
  return verified[static_cast<std::size_t>(index) + (is_part ? entries.size() : 0)];
}

// All lengths as varints, a masked checksum of the lengths, all bytes.
Tensor Bundle::State::read_strings(const BundleEntry& entry, const Shape& shape, std::string_view key) const {
  std::string_view bytes = bytes_of(entry, key);
  const auto count = static_cast<std::size_t>(checked_elements(shape, key));
  if (count > bytes.size())
    fail_entry(entry, key, fmt::format("{} strings are said to be in {} bytes", count, bytes.size()));
  const char* position = bytes.data();
  const char* end = position + bytes.size();
  std::vector<std::uint64_t> lengths;
  std::uint32_t crc = 0;
  try {
    for (std::size_t i = 0; i < count; ++i) {
      lengths.push_back(protozero::decode_varint(&position, end));
      crc = lengths.back() <= UINT32_MAX ? extend_crc(crc, static_cast<std::uint32_t>(lengths.back()))
                                         : extend_crc(crc, lengths.back());
    }
  } catch (const protozero::exception&) {
    fail_entry(entry, key, "the lengths of its strings are cut short");
  }
  std::uint32_t masked_lengths_crc = 0;
  if (end - position < 4) fail_entry(entry, key, "its data is cut short");
  std::memcpy(&masked_lengths_crc, position, 4);
  if (verify_on_read && unmask_crc32c(masked_lengths_crc) != crc)
    fail_entry(entry, key, "the checksum of its lengths is wrong");
  crc = extend_crc(crc, masked_lengths_crc);
  const char* const text = position += 4;
  Tensor result(DataType::kString, shape);
  std::string* strings = result.flat<std::string>().data();
  for (std::uint64_t length : lengths) {
    if (length > static_cast<std::uint64_t>(end - position)) fail_entry(entry, key, "a string reaches past its end");
    (strings++)->assign(position, length);
    position += length;
  }
  if (must_verify(entry)) check_crc(entry, key, crc32c({text, static_cast<std::size_t>(position - text)}, crc));
  return result;
}

Tensor Bundle::State::read_stored(const BundleEntry& entry, const Shape& shape, std::string_view key) const {
  if (entry.dtype == DataType::kString) return read_strings(entry, shape, key);
  if (!is_plain(entry.dtype)) {
    fail(ErrorCode::kUnsupported, "\"{}\": variable \"{}\" is of dtype {} ({}), which cannot be read from a checkpoint",
         name, key, dtype_name(entry.dtype), static_cast<int>(entry.dtype));
  }
  const std::string_view bytes = bytes_of(entry, key);
  const std::uint64_t wanted = static_cast<std::uint64_t>(checked_elements(shape, key)) * dtype_size(entry.dtype);
  if (bytes.size() != wanted) {
    fail_entry(entry, key,
               fmt::format("{}{} takes {} bytes, the checkpoint has {}", dtype_name(entry.dtype), shape.to_string(), wanted,
                           bytes.size()));
  }
  if (must_verify(entry)) check_crc(entry, key, crc32c(bytes));
  return view_or_copy(entry.dtype, shape, bytes, owner);
}

const BundleEntry& Bundle::State::part(const BundleEntry& entry, const TensorSlice& slice) const {
  const BundleEntry* found = find_entry(parts, encode_slice_key(entry.key, slice));
  if (found == nullptr) fail_entry(entry, entry.key, "one of its parts is missing");
  if (found->dtype != entry.dtype) fail_entry(*found, entry.key, "one of its parts has another dtype");
  return *found;
}

// A sliced tensor may not claim to be larger than what its parts can hold.
void Bundle::State::check_parts(const BundleEntry& entry) const {
  std::size_t room = 0;
  for (std::string_view shard : shards) room += shard.size();
  const auto elements = static_cast<std::size_t>(checked_elements(entry.shape, entry.key));
  if (dtype_size(entry.dtype) == 0 || elements > room) {
    fail_entry(entry, entry.key, fmt::format("{} elements are said to be in {} bytes", elements, room));
  }
}

// `box` lies in the tensor and is resolved.
Tensor Bundle::State::read_box(const BundleEntry& entry, const TensorSlice& box) const {
  if (entry.slices.empty()) {
    Tensor whole = read_stored(entry, entry.shape, entry.key);
    if (slice_shape(box) == entry.shape) return whole;
    Tensor result(entry.dtype, slice_shape(box));
    copy_overlap(whole, resolve({std::vector<TensorSlice::Extent>(box.extents.size())}, entry.shape, entry.key), result,
                 box);
    return result;
  }
  check_parts(entry);
  Tensor result(entry.dtype, slice_shape(box));
  std::int64_t copied = 0;
  for (const TensorSlice& slice : entry.slices) {
    const TensorSlice from = resolve(slice, entry.shape, entry.key);
    const Shape shape = slice_shape(from);
    if (shape == result.shape() && from == box) return read_stored(part(entry, slice), shape, entry.key);
    if (copied < result.num_elements())
      copied += copy_overlap(read_stored(part(entry, slice), shape, entry.key), from, result, box);
  }
  if (copied != result.num_elements()) {
    fail_entry(entry, entry.key, fmt::format("its parts cover {} of {} elements", copied, result.num_elements()));
  }
  return result;
}

Bundle Bundle::open(const fs::path& prefix) {
  Bundle bundle;
  bundle.state_ = std::make_shared<State>();
  State& state = *bundle.state_;
  state.name = prefix.string();
  const fs::path index_path = prefix.string() + ".index";
  state.files.push_back(index_path);
  auto owners = std::make_shared<std::vector<std::shared_ptr<const MappedFile>>>();
  int shards = 0;
  try {
    state.read_index(MappedFile::open(index_path)->bytes(), shards);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("\"{}\": {}", index_path.string(), error.what()));
  }
  for (int i = 0; i < shards; ++i) {
    state.files.push_back(fmt::format("{}.data-{:05d}-of-{:05d}", prefix.string(), i, shards));
    owners->push_back(MappedFile::open(state.files.back()));
    state.shards.push_back(owners->back()->bytes());
  }
  state.owner = owners;
  return bundle;
}

Bundle Bundle::from_memory(std::string_view index, std::vector<std::string_view> shards, std::shared_ptr<const void> owner) {
  Bundle bundle;
  bundle.state_ = std::make_shared<State>();
  State& state = *bundle.state_;
  state.name = "memory";
  int shard_count = 0;
  state.read_index(index, shard_count);
  if (static_cast<std::size_t>(shard_count) != shards.size()) {
    fail(ErrorCode::kInvalidModel, "the index says there are {} shards, {} were given", shard_count, shards.size());
  }
  state.shards = std::move(shards);
  state.owner = std::move(owner);
  return bundle;
}

const std::vector<BundleEntry>& Bundle::entries() const noexcept { return state_->entries; }

const BundleEntry* Bundle::find(std::string_view key) const noexcept { return find_entry(state_->entries, key); }

Tensor Bundle::read(std::string_view key) const { return read(key, {}); }

Tensor Bundle::read(std::string_view key, std::string_view spec) const {
  const BundleEntry* entry = find(key);
  if (entry == nullptr) fail(ErrorCode::kNotFound, "\"{}\": there is no variable \"{}\"", state_->name, key);
  TensorSlice box{std::vector<TensorSlice::Extent>(static_cast<std::size_t>(entry->shape.rank()))};
  if (!spec.empty()) {
    SliceSpec wanted = parse_slice_spec(spec);
    if (wanted.full != entry->shape) {
      state_->fail_entry(*entry, key,
                         fmt::format("its shape is {}, slice \"{}\" of it is wanted", entry->shape.to_string(), spec));
    }
    box = std::move(wanted.slice);
  }
  return state_->read_box(*entry, resolve(box, entry->shape, key));
}

void Bundle::verify() const {
  for (const BundleEntry& entry : state_->entries) {
    if (is_plain(entry.dtype) || entry.dtype == DataType::kString) read(entry.key);
  }
}

void Bundle::set_verify_on_read(bool verify) noexcept { state_->verify_on_read = verify; }

std::vector<fs::path> Bundle::files() const { return state_->files; }

}  // namespace tenon::saved
