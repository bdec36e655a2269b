// The file: header (64 bytes), table of sections, their names, then the sections, each on a page of its own. All numbers are
// little-endian. The section "meta" holds the engine's own fields.
#include <cstring>
#include <functional>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "plan/bytes.h"
#include "plan/engine.h"

#include <algorithm>

namespace tenon::plan {
namespace {

constexpr char kMagic[8] = {'T', 'E', 'N', 'O', 'N', 'P', 'L', 'N'};
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMaxSections = 64;
constexpr std::string_view kMeta = "meta";

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t sections;
  std::uint64_t file_size;
  std::uint64_t table_size;      // bytes of table and names, right after the header
  std::uint64_t table_checksum;  // of these bytes
  std::uint64_t reserved[2];
  std::uint64_t header_checksum;  // of the bytes before
};
static_assert(sizeof(Header) == 64);

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

void write_shape(ByteWriter& out, const PartialShape& shape) {
  out.number<std::int32_t>(shape.known_rank() ? shape.rank() : -1);
  if (!shape.known_rank()) return;
  for (const Dim& dim : shape.dims()) out.number<std::int64_t>(dim.known() ? dim.size() : -1 - dim.symbol_id());
}

PartialShape read_shape(ByteReader& in) {
  const auto rank = in.number<std::int32_t>();
  if (rank < 0) return {};
  if (rank > 254) fail(ErrorCode::kIncompatiblePlan, "plan: a shape has {} dimensions", rank);
  std::vector<Dim> dims;
  for (int i = 0; i < rank; ++i) {
    const auto code = in.number<std::int64_t>();
    dims.push_back(code >= 0 ? Dim(code) : Dim::symbol(-1 - code));
  }
  return PartialShape(std::move(dims));
}

using Bounds = std::vector<std::vector<std::int64_t>>;

void write_bounds(ByteWriter& out, const Bounds& bounds) {
  out.count(bounds.size());
  for (const std::vector<std::int64_t>& one : bounds) {
    out.count(one.size());
    for (const std::int64_t value : one) out.number(value);
  }
}

Bounds read_bounds(ByteReader& in) {
  Bounds bounds(in.count(8));
  for (std::vector<std::int64_t>& one : bounds) {
    one.resize(in.count(8));
    for (std::int64_t& value : one) value = in.number<std::int64_t>();
  }
  return bounds;
}

void write_bindings(ByteWriter& out, const std::vector<Binding>& bindings) {
  out.count(bindings.size());
  for (const Binding& binding : bindings) {
    out.text(binding.name);
    out.number<std::int32_t>(static_cast<std::int32_t>(binding.dtype));
    write_shape(out, binding.shape);
  }
}

std::vector<Binding> read_bindings(ByteReader& in) {
  std::vector<Binding> bindings(in.count(16));
  for (Binding& binding : bindings) {
    binding.name = in.string();
    binding.dtype = static_cast<DataType>(in.number<std::int32_t>());
    binding.shape = read_shape(in);
  }
  return bindings;
}

std::string meta_of(const Engine& engine) {
  ByteWriter out;
  out.text(engine.name);
  out.text(engine.precision);
  for (const std::string* field : {&engine.stamp.backend, &engine.stamp.device, &engine.stamp.isa, &engine.stamp.libraries,
                                   &engine.stamp.build}) {
    out.text(*field);
  }
  write_bindings(out, engine.inputs);
  write_bindings(out, engine.outputs);
  out.count(engine.entries.size());
  for (const Entry& entry : engine.entries) {
    for (const Bounds* bounds : {&entry.min, &entry.opt, &entry.max, &entry.min_values, &entry.opt_values, &entry.max_values}) {
      write_bounds(out, *bounds);
    }
  }
  return out.take();
}

bool alike(const Bounds& a, const Bounds& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x.size() == y.size(); });
}

void read_entry(ByteReader& in, Entry& entry, std::size_t inputs) {
  for (Bounds* bounds : {&entry.min, &entry.opt, &entry.max, &entry.min_values, &entry.opt_values, &entry.max_values}) {
    *bounds = read_bounds(in);
  }
  const bool fits = (entry.min.empty() || entry.min.size() == inputs) && entry.min_values.size() <= inputs &&
                    alike(entry.min, entry.opt) && alike(entry.min, entry.max) && alike(entry.min_values, entry.opt_values) &&
                    alike(entry.min_values, entry.max_values);
  if (!fits) fail(ErrorCode::kIncompatiblePlan, "plan: the bounds of an entry do not fit the engine's {} inputs or each other", inputs);
}

void read_meta(std::string_view bytes, Engine& engine) {
  ByteReader in(bytes);
  engine.name = in.string();
  engine.precision = in.string();
  for (std::string* field : {&engine.stamp.backend, &engine.stamp.device, &engine.stamp.isa, &engine.stamp.libraries,
                             &engine.stamp.build}) {
    *field = in.string();
  }
  engine.inputs = read_bindings(in);
  engine.outputs = read_bindings(in);
  engine.entries.resize(in.count(48));
  for (Entry& entry : engine.entries) read_entry(in, entry, engine.inputs.size());
  if (!in.at_end()) fail(ErrorCode::kIncompatiblePlan, "plan: bytes are left after the engine's fields");
}

// Calls append(bytes) and pad(count) in the order of the file.
void emit(const Engine& engine, const std::function<void(std::string_view)>& append, const std::function<void(std::uint64_t)>& pad) {
  const std::string meta = meta_of(engine);
  std::vector<std::pair<std::string_view, std::string_view>> sections = {{kMeta, meta}};
  for (const Section& section : engine.sections()) sections.emplace_back(section.name, section.bytes);

  std::uint64_t table_size = 0;
  for (const auto& [name, bytes] : sections) table_size += 32 + name.size();
  ByteWriter table;
  std::uint64_t offset = round_up(sizeof(Header) + table_size, kPage);
  for (const auto& [name, bytes] : sections) {
    table.number<std::uint64_t>(offset);
    table.number<std::uint64_t>(bytes.size());
    table.number<std::uint64_t>(hash64(bytes));
    table.text(name);
    offset = round_up(offset + bytes.size(), kPage);
  }
  TENON_CHECK(table.bytes().size() == table_size);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kFormatVersion;
  header.sections = static_cast<std::uint32_t>(sections.size());
  header.file_size = offset;
  header.table_size = table_size;
  header.table_checksum = hash64(table.bytes());
  header.header_checksum = hash64({reinterpret_cast<const char*>(&header), offsetof(Header, header_checksum)});

  append({reinterpret_cast<const char*>(&header), sizeof header});
  append(table.bytes());
  std::uint64_t position = sizeof header + table_size;
  for (const auto& [name, bytes] : sections) {
    pad(round_up(position, kPage) - position);
    append(bytes);
    position = round_up(position, kPage) + bytes.size();
  }
  pad(offset - position);
}

Header read_header(std::string_view bytes) {
  Header header;
  if (bytes.size() < sizeof header) fail(ErrorCode::kIncompatiblePlan, "plan: wanted at least 64 bytes, found {}", bytes.size());
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) fail(ErrorCode::kIncompatiblePlan, "plan: this is not a Tenon plan");
  if (header.version != kFormatVersion) {
    fail(ErrorCode::kIncompatiblePlan, "plan: format version {} was found, this Tenon reads {}; build it again", header.version,
         kFormatVersion);
  }
  if (header.header_checksum != hash64({bytes.data(), offsetof(Header, header_checksum)})) {
    fail(ErrorCode::kIncompatiblePlan, "plan: the header's checksum is wrong");
  }
  if (header.file_size != bytes.size()) {
    fail(ErrorCode::kIncompatiblePlan, "plan: wanted {} bytes, found {}: the file is cut or was appended to", header.file_size,
         bytes.size());
  }
  if (header.sections == 0 || header.sections > kMaxSections || header.table_size > bytes.size() - sizeof header) {
    fail(ErrorCode::kIncompatiblePlan, "plan: the table of sections runs past the end");
  }
  return header;
}

// A copy at a 64-byte boundary.
Section aligned_copy(const Section& section) {
  Tensor copy(DataType::kUInt8, Shape{static_cast<std::int64_t>(section.bytes.size())});
  if (!section.bytes.empty()) std::memcpy(copy.data(), section.bytes.data(), section.bytes.size());
  auto owner = std::make_shared<const Tensor>(std::move(copy));
  return {section.name, {static_cast<const char*>(owner->data()), section.bytes.size()}, owner};
}

}  // namespace

std::string serialize(const Engine& engine) {
  std::string file;
  file.reserve(engine.byte_size() + (engine.sections().size() + 2) * kPage);
  emit(engine, [&](std::string_view bytes) { file.append(bytes); }, [&](std::uint64_t count) { file.append(count, '\0'); });
  return file;
}

void write(const Engine& engine, const std::filesystem::path& path) {
  FileWriter file(path);
  emit(engine, [&](std::string_view bytes) { file.append(bytes); },
       [&](std::uint64_t count) { file.append(std::string(count, '\0')); });
  file.close();
}

Engine parse(std::string_view bytes, std::shared_ptr<const void> owner, Checksums checksums) {
  const Header header = read_header(bytes);
  const std::string_view table = bytes.substr(sizeof header, header.table_size);
  if (hash64(table) != header.table_checksum) fail(ErrorCode::kIncompatiblePlan, "plan: the section table's checksum is wrong");
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % 64 == 0;

  Engine engine;
  bool has_meta = false;
  ByteReader in(table);
  for (std::uint32_t i = 0; i < header.sections; ++i) {
    const auto offset = in.number<std::uint64_t>();
    const auto size = in.number<std::uint64_t>();
    const auto checksum = in.number<std::uint64_t>();
    Section section{in.string(), {}, owner};
    if (offset % kPage != 0 || offset > bytes.size() || size > bytes.size() - offset) {
      fail(ErrorCode::kIncompatiblePlan, "plan: section \"{}\" lies outside the file", section.name);
    }
    section.bytes = bytes.substr(offset, size);
    if (checksums == Checksums::kVerify && hash64(section.bytes) != checksum) {
      fail(ErrorCode::kIncompatiblePlan, "plan: section \"{}\" is damaged: its checksum is wrong", section.name);
    }
    if (section.name == kMeta) {
      if (has_meta) fail(ErrorCode::kIncompatiblePlan, "plan: section \"meta\" is there twice");
      read_meta(section.bytes, engine);
      has_meta = true;
      continue;
    }
    for (const Section& existing : engine.sections()) {
      if (existing.name == section.name) fail(ErrorCode::kIncompatiblePlan, "plan: section \"{}\" is there twice", section.name);
    }
    if (!aligned) section = aligned_copy(section);
    engine.add_section(std::move(section.name), section.bytes, std::move(section.owner));
  }
  if (!has_meta) fail(ErrorCode::kIncompatiblePlan, "plan: section \"meta\" is missing");
  return engine;
}

Engine read(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  const std::string_view bytes = file->bytes();
  try {
    return parse(bytes, std::move(file));
  } catch (const Error& error) {
    throw Error(error.code(), path.string() + ": " + error.what());
  }
}

}  // namespace tenon::plan
