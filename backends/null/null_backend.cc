#include "backends/null/null_backend.h"

#include "base/error.h"

namespace tenon {
namespace {

class NullBackend : public Backend {
 public:
  std::string_view name() const override { return "null"; }

  Capabilities capabilities() const override {
    Capabilities here;
    here.stamp.backend = "null";
    here.description = "the backend that runs nothing";
    return here;
  }

  Verdict supports(std::span<const ir::Node* const> nodes, const Precision& precision) const override {
    if (nodes.empty()) return Verdict::no("the null backend runs nothing");
    return Verdict::no(fmt::format("the null backend does not run {} in {}", nodes.front()->describe(), precision.name()));
  }

  bool has_kernel(std::string_view) const override { return false; }

  plan::Engine compile(const Segment& segment, const CompileOptions&) override {
    fail(ErrorCode::kUnsupported, "null backend: segment \"{}\" cannot be compiled; choose another backend", segment.name);
  }

  std::unique_ptr<Executable> load(const plan::Engine& engine, WeightsProvider&, const DeviceOptions&) override {
    fail(ErrorCode::kIncompatiblePlan, "null backend: engine \"{}\" cannot be loaded; choose another backend", engine.name);
  }
};

}  // namespace

std::unique_ptr<Backend> make_null_backend() { return std::make_unique<NullBackend>(); }

}  // namespace tenon
