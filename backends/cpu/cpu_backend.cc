#include "backends/cpu/cpu_backend.h"

#include "backends/cpu/compile.h"
#include "backends/cpu/loops.h"
#include "backends/cpu/lowering/lowering.h"
#include "backends/cpu/through_passes.h"
#include "base/cpu_info.h"
#include "base/thread_team.h"

namespace tenon {
namespace {

class CpuBackend : public Backend {
 public:
  std::string_view name() const override { return "cpu"; }

  Capabilities capabilities() const override {
    Capabilities here;
    here.stamp = cpu::device_stamp();
    here.threads = ThreadTeam::available_cpus();
    here.description = fmt::format("CPU, {}, {} threads", cpu_info().stamp, here.threads);
    return here;
  }

  Verdict supports(std::span<const ir::Node* const> nodes, const Precision&) const override {
    for (const ir::Node* node : nodes) {
      if (auto verdict = supports_node(*node); !verdict) return verdict;
    }
    return Verdict::yes();
  }

  bool has_kernel(std::string_view ir_op) const override { return cpu::find_lowering(ir_op) != nullptr; }
  Verdict supports_loop(const ir::Node& loop, const ir::Module& module, const Precision&) const override {
    return cpu::supports_loop(loop, module);
  }

  plan::Engine compile(const Segment& segment, const CompileOptions& options) override { return cpu::compile(segment, options); }

  std::unique_ptr<Executable> load(const plan::Engine& engine, WeightsProvider&, const DeviceOptions& options) override {
    return cpu::load(engine, options);
  }

 private:
  static Verdict supports_node(const ir::Node& node) {
    if (cpu::follows_from_shapes(node)) return Verdict::yes();
    const cpu::Lowering* lowering = cpu::find_lowering(node.op->name);
    Verdict verdict = lowering != nullptr ? lowering->supports(node)
                                          : Verdict::no(fmt::format("the CPU backend has no kernel for {}",
                                                                    node.origin.op_type.empty() ? std::string(node.op->name)
                                                                                                : node.origin.op_type));
    if (verdict) return verdict;
    Verdict rewritten = cpu::supports_through_passes(node);
    return rewritten || !rewritten.reason().empty() ? rewritten : verdict;
  }
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace tenon
