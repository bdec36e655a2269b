// One long piece of memory with many tensors in it, each at a 64-byte boundary, equal ones once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"

namespace tenon::plan {

class BlobWriter {
 public:
  // The offset of these bytes; 0 for none.
  std::uint64_t add(std::string_view bytes);
  std::string take() { return std::move(blob_); }

 private:
  std::string blob_;
  std::unordered_multimap<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> known_;  // low hash -> offset, size
};

}  // namespace tenon::plan
