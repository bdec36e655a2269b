#include "backends/cpu/executable.h"

#include <chrono>
#include <cstring>
#include <unordered_map>

#include "base/error.h"

namespace tenon::cpu {
struct CpuExecutable::Context {
  Arena arena;  // activations, then scratch
  Key key, last_key;
  std::shared_ptr<const ShapePlan> last_plan;
  std::vector<std::byte*> outputs;
  std::vector<std::byte*> addresses;
};

CpuExecutable::CpuExecutable(LoadedPlan plan, const DeviceOptions& options)
    : plan_(std::move(plan)),
      team_(options.team ? options.team : std::make_shared<SharedTeam>(0)),
      max_plans_(static_cast<std::size_t>(std::max(1, options.shape_plans))) {}

CpuExecutable::~CpuExecutable() { delete spare_.load(); }

std::unique_ptr<CpuExecutable::Context> CpuExecutable::take_context() {
  if (Context* spare = spare_.exchange(nullptr, std::memory_order_acquire)) return std::unique_ptr<Context>(spare);
  const std::lock_guard lock(contexts_mutex_);
  if (contexts_.empty()) return std::make_unique<Context>();
  auto context = std::move(contexts_.back());
  contexts_.pop_back();
  return context;
}

void CpuExecutable::give_back(std::unique_ptr<Context> context) {
  Context* none = nullptr;
  if (spare_.compare_exchange_strong(none, context.get(), std::memory_order_release)) {
    static_cast<void>(context.release());
    return;
  }
  const std::lock_guard lock(contexts_mutex_);
  contexts_.push_back(std::move(context));
}

class CpuExecutable::ContextLease {
 public:
  explicit ContextLease(CpuExecutable& executable) : executable_(executable), context_(executable.take_context()) {}
  ~ContextLease() { executable_.give_back(std::move(context_)); }
  ContextLease(const ContextLease&) = delete;
  ContextLease& operator=(const ContextLease&) = delete;
  Context& operator*() { return *context_; }

 private:
  CpuExecutable& executable_;
  std::unique_ptr<Context> context_;
};

// The shapes of the inputs and the values of those that decide shapes.
void CpuExecutable::fill_key(std::span<const TensorView> inputs, Key& key) const {
  key.clear();
  if (inputs.size() != plan_.inputs.size()) {
    fail(ErrorCode::kInvalidArgument, "engine \"{}\": wanted {} inputs, found {}", plan_.name, plan_.inputs.size(), inputs.size());
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const plan::Binding& binding = plan_.inputs[i];
    if (binding.dtype == DataType::kResource) {
      key.push_back(0);
      continue;
    }
    if (inputs[i].dtype != binding.dtype) {
      fail(ErrorCode::kInvalidArgument, "engine \"{}\": input \"{}\" must be {}, found {}", plan_.name, binding.name,
           dtype_name(binding.dtype), dtype_name(inputs[i].dtype));
    }
    key.push_back(static_cast<std::int64_t>(inputs[i].dims.size()));
    key.insert(key.end(), inputs[i].dims.begin(), inputs[i].dims.end());
  }
  for (const int index : plan_.program.shape_parameters) {
    const TensorView& input = inputs[static_cast<std::size_t>(index)];
    const std::int64_t count = input.num_elements();
    if (count > kMaxShapeElements) continue;
    for (std::int64_t i = 0; i < count; ++i) {
      key.push_back(input.dtype == DataType::kInt64 ? static_cast<const std::int64_t*>(input.data)[i]
                                                    : static_cast<const std::int32_t*>(input.data)[i]);
    }
  }
}

// Sizes that share a symbol were taken as equal when the engine was built.
void CpuExecutable::check_symbols(std::span<const InputShape> shapes) const {
  std::unordered_map<std::int64_t, std::int64_t> sizes;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const PartialShape& type = plan_.inputs[i].shape;
    if (plan_.inputs[i].dtype == DataType::kResource || !type.known_rank()) continue;
    for (int d = 0; d < type.rank(); ++d) {
      if (type[d].known()) continue;
      const auto [it, fresh] = sizes.emplace(type[d].symbol_id(), shapes[i].shape[d]);
      if (!fresh && it->second != shapes[i].shape[d]) {
        fail(ErrorCode::kUnsupported, "engine \"{}\": input \"{}\" has size {} in dimension {}, where {} is expected as in another input",
             plan_.name, plan_.inputs[i].name, shapes[i].shape[d], d, it->second);
      }
    }
  }
}

std::shared_ptr<const ShapePlan> CpuExecutable::plan_for(std::span<const TensorView> inputs, const Key& key) {
  const std::lock_guard lock(plans_mutex_);
  for (auto it = plans_.begin(); it != plans_.end(); ++it) {
    if (it->first != key) continue;
    plans_.splice(plans_.begin(), plans_, it);
    return plans_.front().second;
  }
  std::vector<InputShape> shapes;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (plan_.inputs[i].dtype == DataType::kResource) {
      shapes.push_back({Shape{}, Tensor()});
      continue;
    }
    Shape shape(std::vector<std::int64_t>(inputs[i].dims.begin(), inputs[i].dims.end()));
    if (!plan_.inputs[i].shape.admits(shape)) {
      fail(ErrorCode::kInvalidArgument, "engine \"{}\": input \"{}\" must have shape {}, found {}", plan_.name, plan_.inputs[i].name,
           plan_.inputs[i].shape.to_string(), shape.to_string());
    }
    shapes.push_back({std::move(shape), Tensor()});
  }
  check_symbols(shapes);
  for (const int index : plan_.program.shape_parameters) {
    const auto i = static_cast<std::size_t>(index);
    if (inputs[i].num_elements() > kMaxShapeElements) continue;
    Tensor value(inputs[i].dtype, shapes[i].shape);
    if (value.byte_size() > 0) std::memcpy(value.data(), inputs[i].data, value.byte_size());
    shapes[i].value = std::move(value);
  }
  SharedTeam alone(1);
  SharedTeam::Lease lease(alone);
  std::shared_ptr<const ShapePlan> made;
  try {
    made = make_shape_plan(plan_.program, shapes, plan_.tactics, lease.team(), team_->size());
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "engine \"{}\": no memory for this shape", plan_.name);
  } catch (const std::exception& error) {  // an operand or a number in the plan that is not there
    fail(ErrorCode::kIncompatiblePlan, "engine \"{}\": its plan is malformed ({}); build it again", plan_.name, error.what());
  }
  plans_built_.fetch_add(1, std::memory_order_relaxed);
  plans_.emplace_front(key, made);
  if (plans_.size() > max_plans_) plans_.pop_back();
  return made;
}

void CpuExecutable::bind(const ShapePlan& plan, std::span<const TensorView> inputs, OutputAllocator& outputs, Context& context) {
  context.outputs.resize(plan.outputs.size());
  for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
    context.outputs[i] =
        static_cast<std::byte*>(outputs.allocate(static_cast<int>(i), plan.outputs[i].dtype, plan.outputs[i].shape.dims()));
  }
  context.addresses.resize(plan.addresses.size());
  std::byte* const arena = context.arena.data();
  for (std::size_t i = 0; i < plan.addresses.size(); ++i) {
    const Address& address = plan.addresses[i];
    std::byte* base = arena;
    switch (address.base) {
      case Address::Base::kArena:
        break;
      case Address::Base::kInput:
        base = static_cast<std::byte*>(inputs[static_cast<std::size_t>(address.index)].data);
        break;
      case Address::Base::kOutput:
        base = context.outputs[static_cast<std::size_t>(address.index)];
        break;
      case Address::Base::kFixed:
        base = const_cast<std::byte*>(address.fixed);
        break;
    }
    context.addresses[i] = base + address.offset;
  }
}

const ShapePlan& CpuExecutable::prepare(std::span<const TensorView> inputs, OutputAllocator& outputs, Context& context) {
  fill_key(inputs, context.key);
  if (context.last_plan == nullptr || context.key != context.last_key) {
    context.last_plan = plan_for(inputs, context.key);
    context.last_key = context.key;
    const std::size_t before = context.arena.size();
    context.arena.grow(context.last_plan->arena_bytes + context.last_plan->scratch_bytes);
    arena_bytes_.fetch_add(context.arena.size() - before, std::memory_order_relaxed);
  }
  bind(*context.last_plan, inputs, outputs, context);
  calls_.fetch_add(1, std::memory_order_relaxed);
  return *context.last_plan;
}

void CpuExecutable::run(std::span<const TensorView> inputs, OutputAllocator& outputs, Stream*) {
  ContextLease context(*this);
  const ShapePlan& plan = prepare(inputs, outputs, *context);
  SharedTeam::Lease lease(*team_);
  const Frame frame{(*context).addresses.data(), (*context).arena.data() + plan.arena_bytes, &lease.team()};
  for (const PlannedStep& planned : plan.steps) planned.step->run(frame);
}

std::vector<LayerTime> CpuExecutable::describe(const ShapePlan& plan) const {
  std::vector<LayerTime> layers;
  for (const PlannedStep& planned : plan.steps) {
    LayerTime layer;
    if (planned.origin != nullptr) {
      const ir::Node& node = *planned.origin->node;
      layer.node = node.name;
      layer.op_type = node.origin.op_type.empty() ? std::string(node.op->name) : node.origin.op_type;
      layer.merged = node.origin.merged;
    }
    layer.kernel = planned.kernel;
    layer.shape = planned.shape;
    layer.flops = planned.flops;
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<LayerTime> CpuExecutable::profile(std::span<const TensorView> inputs, OutputAllocator& outputs) {
  using Clock = std::chrono::steady_clock;
  ContextLease context(*this);
  const ShapePlan& plan = prepare(inputs, outputs, *context);
  std::vector<LayerTime> layers = describe(plan);
  SharedTeam::Lease lease(*team_);
  const Frame frame{(*context).addresses.data(), (*context).arena.data() + plan.arena_bytes, &lease.team()};
  auto before = Clock::now();
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    plan.steps[i].step->run(frame);
    const auto after = Clock::now();
    layers[i].seconds = std::chrono::duration<double>(after - before).count();
    before = after;
  }
  return layers;
}

std::vector<LayerTime> CpuExecutable::layers(std::span<const TensorView> inputs) {
  Key key;
  fill_key(inputs, key);
  return describe(*plan_for(inputs, key));
}

std::vector<bool> CpuExecutable::shape_inputs() const {
  std::vector<bool> mask(plan_.inputs.size());
  for (const int index : plan_.program.shape_parameters) mask[static_cast<std::size_t>(index)] = true;
  return mask;
}

ExecutableStatistics CpuExecutable::statistics() const {
  return {calls_.load(), plans_built_.load(), plan_.weight_bytes, arena_bytes_.load()};
}

}  // namespace tenon::cpu
