// What runs a node instead of its reference: a backend's kernel for a lone op, or an engine.
#pragma once

#include <functional>
#include <memory>

#include "ir/eval_context.h"

namespace tenon::runtime {

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Sets every output of the context. May be called from many threads at once.
  virtual void run(ir::EvalContext& ctx) = 0;
};

// The kernel for a node, or null: its reference evaluate() runs. Asked once per node when an executor is made.
using KernelLookup = std::function<std::shared_ptr<Kernel>(const ir::Node&)>;

// Sees every node that ran, with the seconds it took (bench --profile, compare); may be called from many threads.
using NodeObserver = std::function<void(const ir::Node&, std::span<const Tensor> outputs, double seconds)>;

}  // namespace tenon::runtime
