// The readers of plans, from the container down to the executable.
#include <cstring>

#include "backends/cpu/cpu_backend.h"
#include "base/error.h"
#include "base/hash.h"
#include "ops/registry.h"
#include "plan/graph_codec.h"

// The first byte chooses: a whole plan; or a plan whose sections are right and whose content is the input, so that checksums do
// not keep the fuzzer out.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  if (size == 0) return 0;
  const auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data) + 1, size - 1);
  NoWeights none;
  try {
    if (data[0] % 2 == 0) {
      plan::parse(*bytes, bytes);
    } else {
      plan::Engine engine;
      engine.stamp = make_cpu_backend()->capabilities().stamp;
      engine.inputs.resize(data[0] / 2 % 4);
      engine.outputs.resize(data[0] / 8 % 4);
      engine.add_section("graph", *bytes, bytes);
      engine.add_section("packed", std::string(8, '\0'));
      engine.add_section("tactics", std::string(8, '\0'));
      engine.add_section("weights", std::string());
      make_cpu_backend()->load(engine, none, DeviceOptions{});
    }
  } catch (const Error&) {
  }
  return 0;
}
