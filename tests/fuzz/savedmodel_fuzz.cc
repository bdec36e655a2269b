// Binary SavedModels and GraphDefs.
#include <cstddef>

#include "visit_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon::saved;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  attempt([&] { visit_model(load_bytes(bytes, nullptr, "fuzz", FileFormat::kBinary)); });
  return 0;
}
