// Models in text form: whatever can be parsed is a well-formed message, so what comes after parsing is reached too.
#include <cstddef>

#include "visit_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon::saved;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  attempt([&] { visit_model(load_bytes(bytes, nullptr, "fuzz", FileFormat::kText)); });
  return 0;
}
