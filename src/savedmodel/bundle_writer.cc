#include "savedmodel/bundle_writer.h"

#include <algorithm>
#include <map>
#include <protozero/pbf_writer.hpp>

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "savedmodel/table.h"
#include "savedmodel/tensor_proto.h"
#include "savedmodel/tensor_slice.h"

namespace tenon::saved {
namespace {

using protozero::pbf_writer;

std::string encode_header(int shards) {
  std::string bytes;
  pbf_writer writer(bytes);
  writer.add_int32(1, shards);
  pbf_writer version(writer, 3);
  version.add_int32(1, 1);
  return version.commit(), bytes;
}

std::string encode_entry(const BundleEntry& entry) {
  std::string bytes;
  pbf_writer writer(bytes);
  writer.add_enum(1, static_cast<int>(entry.dtype));
  writer.add_message(2, encode_shape(entry.shape.dims()));
  if (entry.shard != 0) writer.add_int32(3, entry.shard);
  if (entry.offset != 0) writer.add_int64(4, entry.offset);
  if (entry.size != 0) writer.add_int64(5, entry.size);
  if (entry.masked_crc != 0) writer.add_fixed32(6, entry.masked_crc);
  for (const TensorSlice& slice : entry.slices) writer.add_message(7, encode_slice(slice));
  return bytes;
}

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::uint32_t crc_of_zeros(std::int64_t count) {
  static const std::string kZeros(1 << 16, '\0');
  std::uint32_t crc = 0;
  for (; count > 0; count -= static_cast<std::int64_t>(kZeros.size())) {
    crc = crc32c(std::string_view(kZeros).substr(0, static_cast<std::size_t>(count)), crc);
  }
  return crc;
}

}  // namespace

struct BundleWriter::State {
  std::filesystem::path prefix;
  BundleOptions options;
  std::vector<std::unique_ptr<FileWriter>> shards;
  std::map<std::string, BundleEntry> entries;

  FileWriter& shard(int index) {
    if (index < 0 || static_cast<std::size_t>(index) >= shards.size()) {
      fail(ErrorCode::kInvalidArgument, "checkpoint: shard {} of {} does not exist", index, shards.size());
    }
    return *shards[static_cast<std::size_t>(index)];
  }

  // The entry for data that is written next; the shard is padded so that the data is aligned for its dtype.
  BundleEntry begin(std::string key, DataType dtype, const Shape& shape, int index) {
    if (key.empty() || entries.contains(key)) {
      fail(ErrorCode::kInvalidArgument, "checkpoint: key \"{}\" is empty or stands twice", key);
    }
    if (dtype != DataType::kString && !is_plain(dtype)) {
      fail(ErrorCode::kUnsupported, "checkpoint: \"{}\" is of dtype {}, which cannot be stored", key, dtype_name(dtype));
    }
    FileWriter& file = shard(index);
    const std::size_t alignment = dtype == DataType::kString ? 1 : dtype_size(dtype);
    file.append(std::string((alignment - file.position() % alignment) % alignment, '\0'));
    BundleEntry entry;
    entry.key = std::move(key);
    entry.dtype = dtype;
    entry.shape = shape;
    entry.shard = index;
    entry.offset = static_cast<std::int64_t>(file.position());
    return entry;
  }

  void end(BundleEntry entry, std::uint32_t crc) {
    entry.size = static_cast<std::int64_t>(shard(entry.shard).position()) - entry.offset;
    entry.masked_crc = mask_crc32c(crc);
    std::string key = entry.key;
    entries.emplace(std::move(key), std::move(entry));
  }

  void write(std::string key, const Tensor& tensor, int index) {
    BundleEntry entry = begin(std::move(key), tensor.dtype(), tensor.shape(), index);
    if (tensor.dtype() == DataType::kString) {
      end(std::move(entry), write_strings(tensor, shard(index)));
    } else {
      const std::string_view bytes(static_cast<const char*>(tensor.data()), tensor.byte_size());
      shard(index).append(bytes);
      end(std::move(entry), crc32c(bytes));
    }
  }

  static std::uint32_t write_strings(const Tensor& tensor, FileWriter& file) {
    std::string lengths;
    std::uint32_t crc = 0;
    for (const std::string& value : tensor.flat<std::string>()) {
      protozero::write_varint(std::back_inserter(lengths), value.size());
      crc = value.size() <= UINT32_MAX ? crc32c(bytes_of(static_cast<std::uint32_t>(value.size())), crc)
                                       : crc32c(bytes_of(static_cast<std::uint64_t>(value.size())), crc);
    }
    const std::uint32_t masked = mask_crc32c(crc);
    file.append(lengths);
    file.append(bytes_of(masked));
    crc = crc32c(bytes_of(masked), crc);
    for (const std::string& value : tensor.flat<std::string>()) {
      file.append(value);
      crc = crc32c(value, crc);
    }
    return crc;
  }
};

BundleWriter::BundleWriter(const std::filesystem::path& prefix, BundleOptions options) : state_(std::make_unique<State>()) {
  state_->prefix = prefix;
  state_->options = options;
  for (int i = 0; i < options.shards; ++i) {
    state_->shards.push_back(
        std::make_unique<FileWriter>(fmt::format("{}.data-{:05d}-of-{:05d}", prefix.string(), i, options.shards)));
  }
}

BundleWriter::~BundleWriter() = default;

void BundleWriter::add(std::string_view key, const Tensor& tensor, int shard) {
  state_->write(std::string(key), tensor, shard);
}

void BundleWriter::add_slice(std::string_view key, const Shape& full, const TensorSlice& slice, const Tensor& part,
                             int shard) {
  if (slice_shape(resolve(slice, full, key)) != part.shape()) {
    fail(ErrorCode::kInvalidArgument, "checkpoint: a part of \"{}\" has shape {}, its slice another", key,
         part.shape().to_string());
  }
  BundleEntry& whole = state_->entries[std::string(key)];
  if (!whole.key.empty() && (whole.slices.empty() || whole.shape != full || whole.dtype != part.dtype())) {
    fail(ErrorCode::kInvalidArgument, "checkpoint: a part of \"{}\" does not fit the parts before it", key);
  }
  whole.key = key;
  whole.dtype = part.dtype();
  whole.shape = full;
  whole.slices.push_back(slice);
  state_->write(encode_slice_key(key, slice), part, shard);
}

void BundleWriter::add_zeros(std::string_view key, DataType dtype, const Shape& shape, int shard) {
  if (!is_plain(dtype)) fail(ErrorCode::kInvalidArgument, "checkpoint: \"{}\": zeros of dtype {}", key, dtype_name(dtype));
  BundleEntry entry = state_->begin(std::string(key), dtype, shape, shard);
  const std::int64_t size = checked_elements(shape, key) * static_cast<std::int64_t>(dtype_size(dtype));
  state_->shard(shard).skip(static_cast<std::uint64_t>(size));
  state_->end(std::move(entry), crc_of_zeros(size));
}

void BundleWriter::finish() {
  for (const std::unique_ptr<FileWriter>& shard : state_->shards) shard->close();
  TableBuilder table(state_->options.compress_index);
  table.add("", encode_header(state_->options.shards));
  for (const auto& [key, entry] : state_->entries) table.add(key, encode_entry(entry));
  FileWriter index(state_->prefix.string() + ".index");
  index.append(table.finish());
  index.close();
}

}  // namespace tenon::saved
