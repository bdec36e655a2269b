#include "plan/blob.h"

namespace tenon::plan {

std::uint64_t BlobWriter::add(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const std::uint64_t hash = hash64(bytes);
  const auto [first, last] = known_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    const auto [offset, size] = it->second;
    if (std::string_view(blob_).substr(offset, size) == bytes) return offset;
  }
  blob_.resize((blob_.size() + 63) / 64 * 64);
  const std::uint64_t offset = blob_.size();
  blob_.append(bytes);
  known_.emplace(hash, std::pair(offset, static_cast<std::uint64_t>(bytes.size())));
  return offset;
}

}  // namespace tenon::plan
