// Checkpoint bundles. The first byte chooses: the rest is an index file, or it is cut into entries of which a well-formed
// index with right checksums is made, so that what stands in the entries is reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

#include "savedmodel/table.h"
#include "savedmodel/variables.h"
#include "tenon/error.h"

namespace tenon::saved {
namespace {

std::string_view take(std::string_view& bytes) {
  const std::size_t size = bytes.empty() ? 0 : static_cast<unsigned char>(bytes.front());
  const std::string_view taken = bytes.substr(std::min<std::size_t>(1, bytes.size()), size);
  bytes.remove_prefix(std::min(bytes.size(), taken.size() + 1));
  return taken;
}

std::string build_index(std::string_view bytes, bool compress) {
  std::map<std::string, std::string> entries;
  entries[""] = "\x08\x01";
  while (!bytes.empty()) {
    const std::string_view key = take(bytes);
    entries[std::string(key)] = take(bytes);
  }
  TableBuilder table(compress);
  for (const auto& [key, value] : entries) table.add(key, value);
  return table.finish();
}

void read_all(const std::string& index, std::string_view data) {
  Bundle bundle = Bundle::from_memory(index, {data}, nullptr);
  for (const bool verify : {true, false}) {
    bundle.set_verify_on_read(verify);
    for (const BundleEntry& entry : bundle.entries()) {
      for (const char* spec : {"", "4 4 1,2:-", "2 -"}) {
        try {
          bundle.read(entry.key, spec);
        } catch (const Error&) {
        }
      }
    }
  }
}

}  // namespace
}  // namespace tenon::saved

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const bool whole = data[0] % 4 == 0;
    tenon::saved::read_all(whole ? std::string(bytes) : tenon::saved::build_index(bytes, data[0] % 4 == 1), bytes);
  } catch (const tenon::Error&) {
  }
  return 0;
}
