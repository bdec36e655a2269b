// The zip container of .npz files: stored and deflated members, zip64 sizes as NumPy writes them.
#include <zlib.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "tenon/npy.h"

namespace tenon {
namespace {

constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::uint32_t kCentralMagic = 0x02014b50;
constexpr std::uint32_t kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50;
constexpr std::uint32_t kLocator64Magic = 0x07064b50;
constexpr std::size_t kEndSize = 22;
constexpr std::size_t kCentralSize = 46;
constexpr std::size_t kLocalSize = 30;

// Little-endian numbers at checked places of a file.
class ZipBytes {
 public:
  ZipBytes(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  std::uint64_t number(std::uint64_t offset, int size) const {
    const std::string_view raw = slice(offset, static_cast<std::uint64_t>(size));
    std::uint64_t value = 0;
    for (int i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[static_cast<std::size_t>(i)]);
    return value;
  }
  std::string_view slice(std::uint64_t offset, std::uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) refuse("is cut short or damaged");
    return bytes_.substr(offset, size);
  }
  std::uint64_t size() const { return bytes_.size(); }
  [[noreturn]] void refuse(std::string_view what) const { fail(ErrorCode::kInvalidArgument, "{}: {}", name_, what); }

 private:
  std::string_view bytes_;
  std::string_view name_;
};

struct Member {
  std::string name;
  int method = 0;
  std::uint32_t crc = 0;
  std::uint64_t compressed = 0;
  std::uint64_t size = 0;
  std::uint64_t local_offset = 0;
  std::uint64_t record_size = 0;
};

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t count = 0;
};

Directory find_directory(const ZipBytes& zip) {
  if (zip.size() < kEndSize) zip.refuse("is not a zip file");
  const std::uint64_t last = zip.size() - kEndSize;
  const std::uint64_t furthest = last > 0xffff ? last - 0xffff : 0;  // a comment of up to 64 KiB may follow
  for (std::uint64_t at = last + 1; at-- > furthest;) {
    if (zip.number(at, 4) != kEndMagic) continue;
    Directory found{zip.number(at + 16, 4), zip.number(at + 10, 2)};
    if (at >= 20 && zip.number(at - 20, 4) == kLocator64Magic) {
      const std::uint64_t end64 = zip.number(at - 12, 8);
      if (zip.number(end64, 4) != kEnd64Magic) zip.refuse("has a damaged zip64 directory");
      found = {zip.number(end64 + 48, 8), zip.number(end64 + 32, 8)};
    }
    return found;
  }
  zip.refuse("is not a zip file");
}

// Sizes that did not fit into 32 bits stand in extra field 1, in this order, and only those.
void read_zip64(const ZipBytes& zip, std::uint64_t at, std::uint64_t end, Member& member) {
  while (at + 4 <= end) {
    const std::uint64_t id = zip.number(at, 2);
    const std::uint64_t size = zip.number(at + 2, 2);
    at += 4;
    if (id == 1) {
      for (std::uint64_t* field : {&member.size, &member.compressed, &member.local_offset}) {
        if (*field != 0xffffffffu) continue;
        *field = zip.number(at, 8);
        at += 8;
      }
      return;
    }
    at += size;
  }
}

Member read_member(const ZipBytes& zip, std::uint64_t at) {
  if (zip.number(at, 4) != kCentralMagic) zip.refuse("has a damaged directory");
  if (zip.number(at + 8, 2) & 1) zip.refuse("is encrypted");
  Member member;
  member.method = static_cast<int>(zip.number(at + 10, 2));
  member.crc = static_cast<std::uint32_t>(zip.number(at + 16, 4));
  member.compressed = zip.number(at + 20, 4);
  member.size = zip.number(at + 24, 4);
  const std::uint64_t name_size = zip.number(at + 28, 2);
  const std::uint64_t extra_size = zip.number(at + 30, 2);
  const std::uint64_t comment_size = zip.number(at + 32, 2);
  member.local_offset = zip.number(at + 42, 4);
  member.name = zip.slice(at + kCentralSize, name_size);
  const std::uint64_t extra = at + kCentralSize + name_size;
  read_zip64(zip, extra, extra + extra_size, member);
  member.record_size = kCentralSize + name_size + extra_size + comment_size;
  return member;
}

std::string inflate_member(const ZipBytes& zip, const Member& member, std::string_view data) {
  constexpr std::uint64_t kBestRatio = 1040;  // of deflate; a larger claim is a lie
  if (member.size > (data.size() + 64) * kBestRatio) zip.refuse("declares a size that its data cannot have");
  std::string out(member.size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail(ErrorCode::kOutOfMemory, "zlib: no memory");
  std::size_t consumed = 0;
  std::size_t produced = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    const auto in = static_cast<uInt>(std::min<std::size_t>(data.size() - consumed, 1u << 30));
    const auto room = static_cast<uInt>(std::min<std::size_t>(out.size() - produced, 1u << 30));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data() + consumed));
    stream.avail_in = in;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + produced);
    stream.avail_out = room;
    state = inflate(&stream, Z_NO_FLUSH);
    consumed += in - stream.avail_in;
    produced += room - stream.avail_out;
    if (state == Z_OK && in == stream.avail_in && room == stream.avail_out) state = Z_BUF_ERROR;
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || produced != out.size()) zip.refuse("holds damaged compressed data");
  return out;
}

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

Tensor load_member(const ZipBytes& zip, const Member& member, std::string_view name) {
  const std::uint64_t at = member.local_offset;
  if (zip.number(at, 4) != kLocalMagic) zip.refuse("has a damaged member");
  const std::uint64_t start = at + kLocalSize + zip.number(at + 26, 2) + zip.number(at + 28, 2);
  std::string_view data = zip.slice(start, member.compressed);
  std::string inflated;
  if (member.method == 8) {
    data = inflated = inflate_member(zip, member, data);
  } else if (member.method != 0 || member.size != member.compressed) {
    zip.refuse("has a member that is neither stored nor deflated");
  }
  if (checksum(data) != member.crc) zip.refuse("has a member whose checksum is wrong");
  return parse_npy(data, fmt::format("{}[{}]", name, member.name));
}

void append_number(std::string& out, std::uint64_t value, int size) {
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

// The fields that a local header and a directory entry share, from "version needed" to the name's length.
void append_common(std::string& out, std::uint32_t crc, std::uint64_t size, std::size_t name_size) {
  append_number(out, 20, 2);
  append_number(out, 0, 2 + 2);   // flags, method: stored
  append_number(out, 0, 2);       // time
  append_number(out, 0x0021, 2);  // date: 1980-01-01
  append_number(out, crc, 4);
  append_number(out, size, 4);
  append_number(out, size, 4);
  append_number(out, name_size, 2);
}

}  // namespace

std::map<std::string, Tensor> parse_npz(std::string_view bytes, std::string_view name) {
  const ZipBytes zip(bytes, name);
  const Directory directory = find_directory(zip);
  std::map<std::string, Tensor> tensors;
  std::uint64_t at = directory.offset;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    const Member member = read_member(zip, at);
    at += member.record_size;
    std::string key = member.name;
    if (key.ends_with(".npy")) key.resize(key.size() - 4);
    tensors.insert_or_assign(std::move(key), load_member(zip, member, name));
  }
  return tensors;
}

std::map<std::string, Tensor> read_npz(const std::filesystem::path& path) {
  return parse_npz(MappedFile::open(path)->bytes(), path.string());
}

void write_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  std::string directory;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::string data = format_npy(tensor);
    const std::string file = name + ".npy";
    const std::uint32_t crc = checksum(data);
    std::string local;
    append_number(local, kLocalMagic, 4);
    append_common(local, crc, data.size(), file.size());
    append_number(local, 0, 2);
    local += file;
    append_number(directory, kCentralMagic, 4);
    append_number(directory, 20, 2);
    append_common(directory, crc, data.size(), file.size());
    append_number(directory, 0, 2 + 2 + 2 + 2);  // extra, comment, disk, internal attributes
    append_number(directory, 0, 4);
    append_number(directory, offset, 4);
    directory += file;
    offset += local.size() + data.size();
    if (offset > 0xffffffffu) fail(ErrorCode::kUnsupported, "{}: an .npz of more than 4 GiB is not written; use .npy files", path.string());
    stream << local << data;
  }
  std::string end;
  append_number(end, kEndMagic, 4);
  append_number(end, 0, 4);
  append_number(end, tensors.size(), 2);
  append_number(end, tensors.size(), 2);
  append_number(end, directory.size(), 4);
  append_number(end, offset, 4);
  append_number(end, 0, 2);
  stream << directory << end;
  stream.close();
  if (!stream) fail(ErrorCode::kIo, "{}: cannot be written", path.string());
}

}  // namespace tenon
