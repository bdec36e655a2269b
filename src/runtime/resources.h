// A session's named resources, its variables' stored values, and the functions that control flow calls.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "ir/module.h"
#include "runtime/executor.h"

namespace tenon::runtime {

// Implements what stateful ops need. One per session; thread-safe.
class SessionServices : public ir::Services {
 public:
  using CheckpointReader = std::function<Tensor(const std::string& variable_name)>;
  SessionServices(const ir::Module& module, CheckpointReader checkpoint, KernelLookup kernels);
  ~SessionServices() override;

  ObjectPtr resource(const std::string& container, const std::string& name, const std::function<ObjectPtr()>& make) override;
  std::vector<Tensor> call(const ir::FunctionRef& function, std::vector<Tensor> arguments) override;
  Tensor checkpoint_value(const std::string& variable_name) override;
  std::uint64_t random_seed() override;
  // Used by calls from functions' nodes; set before the first run.
  void set_team(ThreadTeam* team) { team_ = team; }

 private:
  struct Function {
    std::unique_ptr<const Executor> executor;
    std::size_t arguments;
  };
  const Function& function(const std::string& name);

  const ir::Module& module_;
  CheckpointReader checkpoint_;
  KernelLookup kernels_;
  ThreadTeam* team_ = nullptr;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, ObjectPtr> resources_;
  std::unordered_map<std::string, Function> functions_;  // that were called
};

}  // namespace tenon::runtime
