// Models in text form.
#include <cstddef>
#include <cstdint>

#include "savedmodel/load.h"
#include "tenon/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    tenon::saved::load_bytes(bytes, nullptr, "fuzz", tenon::saved::FileFormat::kText);
  } catch (const tenon::Error&) {
  }
  return 0;
}
