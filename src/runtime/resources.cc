#include "runtime/resources.h"

#include <random>

#include "base/error.h"

namespace tenon::runtime {
namespace {

// Recursion of functions deeper than this would exhaust the stack.
constexpr int kMaxCallDepth = 500;

struct DepthGuard {
  DepthGuard() { ++depth(); }
  ~DepthGuard() { --depth(); }
  static int& depth() {
    thread_local int value = 0;
    return value;
  }
};

}  // namespace

SessionServices::SessionServices(const ir::Module& module, CheckpointReader checkpoint, KernelLookup kernels)
    : module_(module), checkpoint_(std::move(checkpoint)), kernels_(std::move(kernels)) {}

SessionServices::~SessionServices() = default;

ObjectPtr SessionServices::resource(const std::string& container, const std::string& name,
                                    const std::function<ObjectPtr()>& make) {
  const auto key = std::make_pair(container, name);
  {
    const std::lock_guard lock(mutex_);
    const auto it = resources_.find(key);
    if (it != resources_.end()) return it->second;
  }
  ObjectPtr made = make();  // outside the lock: it may read a large checkpoint entry
  const std::lock_guard lock(mutex_);
  return resources_.try_emplace(key, std::move(made)).first->second;
}

const SessionServices::Function& SessionServices::function(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (const auto it = functions_.find(name); it != functions_.end()) return it->second;
  const auto body = module_.functions.find(name);
  if (body == module_.functions.end()) fail(ErrorCode::kNotFound, "function \"{}\" is called but is not in the model's library", name);
  const ir::Graph& graph = *body->second;
  std::vector<ir::Value> feeds;
  for (ir::Node* parameter : graph.parameters) feeds.push_back(parameter->output());
  const std::size_t arguments = feeds.size();
  auto executor = std::make_unique<Executor>(graph, std::move(feeds), graph.outputs, graph.control_outputs, kernels_, false);
  return functions_.emplace(name, Function{std::move(executor), arguments}).first->second;
}

std::vector<Tensor> SessionServices::call(const ir::FunctionRef& ref, std::vector<Tensor> arguments) {
  const DepthGuard guard;
  if (DepthGuard::depth() > kMaxCallDepth) {
    fail(ErrorCode::kInvalidModel, "function \"{}\": calls are nested more than {} deep", ref.name, kMaxCallDepth);
  }
  const Function& called = function(ref.name);
  if (arguments.size() != called.arguments) {
    fail(ErrorCode::kInvalidModel, "function \"{}\" takes {} arguments, {} were passed", ref.name, called.arguments, arguments.size());
  }
  return called.executor->run(std::move(arguments), *this, team_, nullptr);
}

Tensor SessionServices::checkpoint_value(const std::string& variable_name) {
  return checkpoint_ ? checkpoint_(variable_name) : Tensor();
}

std::uint64_t SessionServices::random_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

}  // namespace tenon::runtime
