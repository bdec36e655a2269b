#include "backends/cpu/shape_plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "backends/cpu/lowering/copy.h"
#include "backends/cpu/memory_plan.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "ops/cost.h"
#include "ops/inference.h"

namespace tenon::cpu {
namespace {

constexpr int kNever = -1;

// A value of the graph while memory is laid out. Aliases refer to their root; the part of a concatenation lies in its parent.
struct PlannedValue {
  DataType dtype = DataType::kInvalid;
  Shape shape;
  bool known = false;        // the shape is
  const Tensor* constant = nullptr;
  int parameter = -1;        // which input it is
  int producer = kNever;     // index of the node in the program
  bool needed = false;       // some step or output reads it
  int alias_of = -1;         // another value whose memory this is part of, in the same order
  std::int64_t alias_offset = 0;  // elements from the other value's start
  int parent = -1;           // the concatenation that it is a part of
  std::int64_t offset = 0;   // elements from the parent's start
  bool strided = false;      // rows have the parent's pitch
  bool holds_dense_parts = false;  // a concatenation some of whose parts must stay dense
  int shares_with = -1;      // the operand that it overwrites
  int output = -1;           // the engine's output that it is written to
  int first = std::numeric_limits<int>::max(), last = kNever;  // steps between which the memory is needed
  int buffer = -1;

  std::int64_t last_size() const { return shape.rank() == 0 ? 1 : shape[shape.rank() - 1]; }
  std::size_t bytes() const { return static_cast<std::size_t>(shape.num_elements()) * dtype_size(dtype); }
};

class Planner {
 public:
  Planner(Program& program, std::span<const InputShape> inputs, TacticChooser& tactics, ThreadTeam& team, int threads)
      : program_(program), inputs_(inputs), tactics_(tactics), team_(team), threads_(threads), plan_(std::make_unique<ShapePlan>()) {}

  std::unique_ptr<ShapePlan> make() {
    infer_shapes();
    collect_values();
    find_views();
    find_needed();
    find_uses();
    assign_outputs();
    place_concatenations();
    find_lifetimes();
    overwrite_in_place();
    lay_out();
    for (std::size_t i = 0; i < program_.nodes.size(); ++i) prepare(static_cast<int>(i));
    copy_outputs();
    return std::move(plan_);
  }

 private:
  class NodeContext;

  void infer_shapes();
  void collect_values();
  void find_views();
  void find_needed();
  void find_uses();
  void assign_outputs();
  void place_concatenations();
  bool place_part(int concat, int part, std::int64_t offset, bool strided);
  void find_lifetimes();
  void overwrite_in_place();
  void lay_out();
  void prepare(int node);
  void prepare_concatenation(int node);
  void copy_outputs();

  int id_of(const ir::Value& value) const { return ids_.at(value); }
  PlannedValue& at(int id) { return values_[static_cast<std::size_t>(id)]; }
  const PlannedValue& at(int id) const { return values_[static_cast<std::size_t>(id)]; }
  int root_of(int id) const {
    while (at(id).alias_of >= 0) id = at(id).alias_of;
    return id;
  }
  // The value whose memory this one's is.
  int holder_of(int id) const {
    for (id = root_of(id);;) {
      if (at(id).parent >= 0) {
        id = at(id).parent;
      } else if (at(id).shares_with >= 0) {
        id = at(id).shares_with;
      } else {
        return id;
      }
      id = root_of(id);
    }
  }
  // True when it has all elements of its root.
  bool is_whole(int id) const { return at(id).shape.num_elements() == at(root_of(id)).shape.num_elements(); }
  // True when its memory lies inside a concatenation.
  bool is_part(int id) const {
    for (id = root_of(id);; id = root_of(at(id).shares_with)) {
      if (at(id).parent >= 0) return true;
      if (at(id).shares_with < 0) return false;
    }
  }
  std::int64_t pitch_of(int id) const {
    const PlannedValue& value = at(root_of(id));
    return value.strided ? pitch_of(value.parent) : at(id).last_size();
  }
  // How a concatenation joins its parts: sizes before and after the axis, parts (values) and where along the axis they begin.
  struct Concatenation {
    int axis = 0;
    std::int64_t outer = 1, inner = 1;
    std::vector<std::pair<int, std::int64_t>> parts;
  };
  Concatenation concatenation(int node) const;
  bool is_step(int node) const;
  Place place(int id) const;
  void add_step(std::unique_ptr<Step> step, const ProgramNode* origin, std::string kernel, const Shape& shape, double flops,
                std::size_t scratch);

  Program& program_;
  std::span<const InputShape> inputs_;
  TacticChooser& tactics_;
  ThreadTeam& team_;
  std::vector<std::byte> cold_;  // memory to read so that the caches hold nothing else
  int threads_;
  std::unique_ptr<ShapePlan> plan_;
  SymbolSource symbols_;
  std::vector<PlannedValue> values_;
  std::unordered_map<ir::Value, int, ir::ValueHash> ids_;
  struct Use {
    int node;  // -1: an output of the engine
    int operand;
    int through;  // the value as the user names it, possibly an alias
  };
  std::vector<std::vector<Use>> uses_;  // by root
};

// Sizes that follow from shapes become constants, so that what is computed from them is computed now.
void state_known_sizes(ir::Node& node, ops::Facts& facts) {
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    const ir::Value value{&node, static_cast<int>(i)};
    const DataType dtype = node.outputs[i].dtype;
    if ((dtype != DataType::kInt32 && dtype != DataType::kInt64) || !node.outputs[i].shape.fully_known()) continue;
    if (facts.constant(value) != nullptr) continue;
    const auto dims = facts.dims(value);
    if (!dims || !std::all_of(dims->begin(), dims->end(), [](const Dim& dim) { return dim.known(); })) continue;
    Tensor tensor(dtype, node.outputs[i].shape.to_shape());
    if (tensor.num_elements() != static_cast<std::int64_t>(dims->size())) continue;
    for (std::size_t k = 0; k < dims->size(); ++k) {
      if (dtype == DataType::kInt32) {
        tensor.flat<std::int32_t>()[k] = static_cast<std::int32_t>((*dims)[k].size());
      } else {
        tensor.flat<std::int64_t>()[k] = (*dims)[k].size();
      }
    }
    facts.set_constant(value, std::move(tensor));
  }
}

// The concrete shape of a result. No count of its elements or bytes and no stride overflows from here on.
Shape checked_shape(const ir::Node& node, const ir::ValueType& type) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 42;
  std::int64_t elements = 1;  // were each empty dimension of size 1
  for (const Dim& dim : type.shape.dims()) {
    if (__builtin_mul_overflow(elements, std::max<std::int64_t>(1, dim.size()), &elements) || elements > kMostElements) {
      fail(ErrorCode::kUnsupported, "{}: a result of shape {} is too large to be computed", node.describe(), type.shape.to_string());
    }
  }
  return type.shape.to_shape();
}

void Planner::infer_shapes() {
  ir::Graph& graph = *program_.graph;
  TENON_CHECK(inputs_.size() == graph.parameters.size());
  ops::InferenceOptions options;
  options.keep_known = false;
  ops::Facts facts(symbols_, options);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    ir::Node* parameter = graph.parameters[i];
    parameter->attrs.set("shape", PartialShape(inputs_[i].shape));
    ops::infer_node(*parameter, facts, options);
    if (inputs_[i].value.valid()) facts.set_constant({parameter, 0}, inputs_[i].value);
  }
  for (const auto& node : graph.nodes()) {
    if (is_constant_node(*node)) ops::infer_node(*node, facts, options);
  }
  for (const ProgramNode& item : program_.nodes) {
    ops::infer_node(*item.node, facts, options);
    state_known_sizes(*item.node, facts);
  }
  // Constants are kept by the plan: steps hold pointers to them.
  std::vector<std::pair<ir::Value, Tensor>> constants;
  for (const auto& node : graph.nodes()) {
    for (std::size_t i = 0; i < node->outputs.size(); ++i) {
      const ir::Value value{node.get(), static_cast<int>(i)};
      ids_.emplace(value, static_cast<int>(values_.size()));
      PlannedValue planned;
      planned.dtype = node->outputs[i].dtype;
      planned.known = node->outputs[i].shape.fully_known();
      if (planned.known) planned.shape = checked_shape(*node, node->outputs[i]);
      values_.push_back(std::move(planned));
      if (const Tensor* constant = facts.constant(value)) constants.emplace_back(value, *constant);
    }
  }
  plan_->constants.reserve(constants.size());
  for (auto& [value, tensor] : constants) {
    plan_->constants.push_back(std::move(tensor));
    at(id_of(value)).constant = &plan_->constants.back();
  }
}

void Planner::collect_values() {
  const ir::Graph& graph = *program_.graph;
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) at(id_of({graph.parameters[i], 0})).parameter = static_cast<int>(i);
  for (std::size_t n = 0; n < program_.nodes.size(); ++n) {
    const ProgramNode& item = program_.nodes[n];
    for (std::size_t i = 0; i < item.node->outputs.size(); ++i) {
      PlannedValue& value = at(id_of({item.node, static_cast<int>(i)}));
      if (value.constant != nullptr) continue;
      value.producer = static_cast<int>(n);
      if (item.lowered.alias >= 0) {
        value.alias_of = id_of(item.node->inputs.at(static_cast<std::size_t>(item.lowered.alias) + i));
      }
    }
  }
}

bool Planner::is_step(int node) const {
  const ProgramNode& item = program_.nodes[static_cast<std::size_t>(node)];
  for (std::size_t i = 0; i < item.node->outputs.size(); ++i) {
    const PlannedValue& value = at(id_of({item.node, static_cast<int>(i)}));
    if (value.needed && value.alias_of < 0) return true;
  }
  return false;
}

void Planner::find_needed() {
  const auto need = [&](int id) {
    if (at(id).constant != nullptr) return;
    at(id).needed = true;
    PlannedValue& root = at(root_of(id));
    root.needed = true;
    const bool has_memory = root.constant != nullptr || root.parameter >= 0 || root.producer >= 0;
    if (!has_memory) fail(ErrorCode::kIncompatiblePlan, "engine: a plan reads weights that it has packed away; build it again");
  };
  for (const ir::Value& output : program_.graph->outputs) need(id_of(output));
  for (int n = static_cast<int>(program_.nodes.size()) - 1; n >= 0; --n) {
    if (!is_step(n)) continue;
    const ProgramNode& item = program_.nodes[static_cast<std::size_t>(n)];
    for (std::size_t i = 0; i < item.node->inputs.size(); ++i) {
      if (!item.lowered.unread.has(static_cast<int>(i))) need(id_of(item.node->inputs[i]));
    }
  }
  for (const auto& node : program_.graph->nodes()) {
    for (std::size_t i = 0; i < node->outputs.size(); ++i) {
      if (at(id_of({node.get(), static_cast<int>(i)})).needed && !node->outputs[i].shape.fully_known()) {
        fail(ErrorCode::kUnsupported, "{}: its shape {} depends on data, not only on the shapes of the inputs", node->describe(),
             node->outputs[i].shape.to_string());
      }
    }
  }
}

void Planner::find_uses() {
  uses_.resize(values_.size());
  for (std::size_t n = 0; n < program_.nodes.size(); ++n) {
    if (!is_step(static_cast<int>(n))) continue;
    const ProgramNode& item = program_.nodes[n];
    for (std::size_t i = 0; i < item.node->inputs.size(); ++i) {
      if (item.lowered.unread.has(static_cast<int>(i))) continue;
      const int id = id_of(item.node->inputs[i]);
      uses_[static_cast<std::size_t>(root_of(id))].push_back({static_cast<int>(n), static_cast<int>(i), id});
    }
  }
  for (std::size_t i = 0; i < program_.graph->outputs.size(); ++i) {
    const int id = id_of(program_.graph->outputs[i]);
    uses_[static_cast<std::size_t>(root_of(id))].push_back({-1, static_cast<int>(i), id});
  }
}

// A result that becomes an output of the engine is written straight into the caller's memory.
void Planner::assign_outputs() {
  const ir::Graph& graph = *program_.graph;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const int id = id_of(graph.outputs[i]);
    const PlannedValue& value = at(id);
    plan_->outputs.push_back({value.dtype, value.shape});
    PlannedValue& root = at(root_of(id));
    if (root.constant == nullptr && root.parameter < 0 && root.output < 0 && root.producer >= 0 && is_whole(id)) {
      root.output = static_cast<int>(i);
    }
  }
}

Planner::Concatenation Planner::concatenation(int n) const {
  const ProgramNode& item = program_.nodes[static_cast<std::size_t>(n)];
  const Shape& shape = at(id_of({item.node, 0})).shape;
  const bool new_axis = item.lowered.concat == Lowered::Concat::kNewAxis;
  Concatenation how;
  std::int64_t axis = item.lowered.concat_axis;
  const auto& inputs = item.node->inputs;
  if (item.lowered.concat_axis_operand >= 0) {
    const Tensor* value = at(id_of(inputs.at(static_cast<std::size_t>(item.lowered.concat_axis_operand)))).constant;
    if (value == nullptr) fail(ErrorCode::kUnsupported, "{}: the axis depends on data", item.node->describe());
    axis = value->dtype() == DataType::kInt64 ? value->flat<std::int64_t>()[0] : value->flat<std::int32_t>()[0];
  }
  if (axis < 0) axis += shape.rank();
  if (axis < 0 || axis >= shape.rank()) fail(ErrorCode::kInvalidModel, "{}: axis {} is out of range", item.node->describe(), axis);
  how.axis = static_cast<int>(axis);
  for (int d = 0; d < how.axis; ++d) how.outer *= shape[d];
  for (int d = how.axis + 1; d < shape.rank(); ++d) how.inner *= shape[d];
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (static_cast<int>(i) == item.lowered.concat_axis_operand) continue;
    const int part = id_of(inputs[i]);
    how.parts.emplace_back(part, offset);
    offset += new_axis ? 1 : at(part).shape[how.axis];
  }
  return how;
}

// True when the part could be given a place inside the concatenation's memory.
bool Planner::place_part(int concat, int part, std::int64_t offset, bool strided) {
  const int root = root_of(part);
  PlannedValue& value = at(root);
  if (value.constant != nullptr || value.parameter >= 0 || value.output >= 0 || value.parent >= 0 || root == concat) return false;
  if (!is_whole(part) || (strided && at(part).shape != value.shape) || value.dtype != at(concat).dtype || value.producer < 0) return false;
  if (strided && (value.holds_dense_parts || at(concat).holds_dense_parts)) return false;
  const ProgramNode& producer = program_.nodes[static_cast<std::size_t>(value.producer)];
  int result = 0;
  while (id_of({producer.node, result}) != root) ++result;
  if (strided && producer.lowered.concat == Lowered::Concat::kNo && !producer.lowered.pitched_results.has(result)) return false;
  if (strided && producer.lowered.concat == Lowered::Concat::kNo && producer.lowered.reference) return false;
  for (const Use& use : uses_[static_cast<std::size_t>(root)]) {
    if (!strided) continue;
    if (use.node < 0 || !is_whole(use.through) || at(use.through).last_size() != value.last_size()) return false;
    if (!program_.nodes[static_cast<std::size_t>(use.node)].lowered.pitched_operands.has(use.operand)) return false;
  }
  value.parent = concat;
  value.offset = offset;
  value.strided = strided;
  return true;
}

void Planner::place_concatenations() {
  for (std::size_t n = 0; n < program_.nodes.size(); ++n) {
    const ProgramNode& item = program_.nodes[n];
    if (item.lowered.concat == Lowered::Concat::kNo || !is_step(static_cast<int>(n))) continue;
    const int concat = id_of({item.node, 0});
    const Shape& shape = at(concat).shape;
    if (shape.num_elements() == 0) continue;
    const Concatenation how = concatenation(static_cast<int>(n));
    const bool strided = how.outer != 1;
    if (strided && (how.axis != shape.rank() - 1 || item.lowered.concat == Lowered::Concat::kNewAxis)) continue;
    for (const auto& [part, offset] : how.parts) {
      if (place_part(concat, part, offset * how.inner, strided) && !strided) at(concat).holds_dense_parts = true;
    }
  }
}

void Planner::find_lifetimes() {
  const auto touch = [&](int id, int step) {
    PlannedValue& holder = at(holder_of(id));
    holder.first = std::min(holder.first, step);
    holder.last = std::max(holder.last, step);
  };
  for (std::size_t n = 0; n < program_.nodes.size(); ++n) {
    if (!is_step(static_cast<int>(n))) continue;
    const ProgramNode& item = program_.nodes[n];
    for (std::size_t i = 0; i < item.node->outputs.size(); ++i) touch(id_of({item.node, static_cast<int>(i)}), static_cast<int>(n));
  }
  const int end = static_cast<int>(program_.nodes.size());
  for (std::size_t id = 0; id < values_.size(); ++id) {
    for (const Use& use : uses_[id]) touch(static_cast<int>(id), use.node < 0 ? end : use.node);
  }
}

// Lets a result overwrite an operand that ends there.
void Planner::overwrite_in_place() {
  for (std::size_t n = 0; n < program_.nodes.size(); ++n) {
    const ProgramNode& item = program_.nodes[n];
    if (!is_step(static_cast<int>(n)) || item.node->outputs.empty()) continue;
    const int result = id_of({item.node, 0});
    PlannedValue& value = at(result);
    if (!value.needed || value.parent >= 0 || value.output >= 0) continue;
    for (std::size_t i = 0; i < item.node->inputs.size(); ++i) {
      if (!item.lowered.in_place.has(static_cast<int>(i))) continue;
      const int operand = id_of(item.node->inputs[i]);
      const int holder = holder_of(operand);
      PlannedValue& held = at(holder);
      const bool free = at(operand).constant == nullptr && held.parameter < 0 && held.constant == nullptr && held.output < 0 &&
                        !is_part(operand) && held.last == static_cast<int>(n) && at(operand).dtype == value.dtype;
      if (!free || at(operand).shape != value.shape || held.bytes() != value.bytes() || holder == result) continue;
      // The holder of a chain of overwritten values: its memory now lives as long as the result.
      value.shares_with = holder;
      held.last = std::max(held.last, value.last);
      break;
    }
  }
}

void Planner::lay_out() {
  std::vector<BufferNeed> needs;
  std::vector<int> owners;
  for (std::size_t id = 0; id < values_.size(); ++id) {
    PlannedValue& value = values_[id];
    const bool own = value.needed && value.alias_of < 0 && value.parent < 0 && value.shares_with < 0 && value.constant == nullptr &&
                     value.parameter < 0 && value.output < 0 && value.producer >= 0;
    if (!own || value.last == kNever) continue;
    value.buffer = static_cast<int>(needs.size());
    needs.push_back({value.bytes(), value.first, value.last});
  }
  plan_->arena_bytes = plan_memory(needs);
  for (std::size_t id = 0; id < values_.size(); ++id) {
    const PlannedValue& holder = at(holder_of(static_cast<int>(id)));
    Address address;
    for (int alias = static_cast<int>(id); at(alias).alias_of >= 0; alias = at(alias).alias_of) {
      address.offset += static_cast<std::size_t>(at(alias).alias_offset) * dtype_size(values_[id].dtype);
    }
    for (int part = root_of(static_cast<int>(id)); at(part).parent >= 0 || at(part).shares_with >= 0;) {
      const PlannedValue& value = at(part);
      if (value.parent >= 0) address.offset += static_cast<std::size_t>(value.offset) * dtype_size(value.dtype);
      part = root_of(value.parent >= 0 ? value.parent : value.shares_with);
    }
    const Tensor* constant = values_[id].constant ? values_[id].constant : holder.constant;
    if (constant != nullptr) {
      const std::size_t offset = values_[id].constant ? 0 : address.offset;
      address = {Address::Base::kFixed, 0, offset, static_cast<const std::byte*>(constant->data())};
    } else if (holder.parameter >= 0) {
      address.base = Address::Base::kInput;
      address.index = holder.parameter;
    } else if (holder.output >= 0) {
      address.base = Address::Base::kOutput;
      address.index = holder.output;
    } else if (holder.buffer >= 0) {
      address.offset += needs[static_cast<std::size_t>(holder.buffer)].offset;
    } else {
      address = {Address::Base::kFixed, 0, 0, nullptr};  // never read
    }
    plan_->addresses.push_back(address);
  }
}

Place Planner::place(int id) const {
  const PlannedValue& value = at(id);
  return {id, value.dtype, value.shape, value.constant ? value.last_size() : pitch_of(id), value.constant};
}

class Planner::NodeContext : public PlanContext {
 public:
  NodeContext(Planner& planner, const ProgramNode& item) : planner_(planner) {
    node_ = item.node;
    threads_ = planner.threads_;
    kernel_ = item.lowered.kernel;
    for (const ir::Value& input : item.node->inputs) {
      if (!planner.at(planner.id_of(input)).known) {
        fail(ErrorCode::kUnsupported, "{}: the shape of \"{}\" is not known before running", item.node->describe(), input.node->name);
      }
      operands_.push_back(planner.place(planner.id_of(input)));
    }
    for (std::size_t i = 0; i < item.node->outputs.size(); ++i) {
      results_.push_back(planner.place(planner.id_of({item.node, static_cast<int>(i)})));
      const PlannedValue& value = planner.at(results_.back().slot);
      if (!value.needed || value.alias_of >= 0) results_.back().slot = -1;
    }
  }

  std::unique_ptr<Step> choose(const std::string& key, std::span<const Candidate> candidates) override {
    TENON_CHECK(!candidates.empty());
    const std::size_t before = scratch_;
    std::size_t best = 0;
    if (candidates.size() > 1) {
      std::vector<double> measured;
      best = planner_.tactics_.choose(key, candidates, [&](std::size_t i) {
        if (measured.empty()) measured = times(candidates);
        return measured[i];
      });
      scratch_ = before;
    }
    return candidates[best].make();
  }

  std::unique_ptr<ShapePlan> plan_inside(Program& program, std::span<const InputShape> inputs) override {
    return make_shape_plan(program, inputs, planner_.tactics_, planner_.team_, planner_.threads_);
  }

  std::size_t scratch() const { return scratch_; }
  const std::string& kernel() const { return kernel_; }

 private:
  std::vector<double> times(std::span<const Candidate> candidates);
  void provide_buffers();
  void set_caches();
  static std::size_t bytes(const Place& place) {
    return static_cast<std::size_t>(place.rows() * place.pitch) * dtype_size(place.dtype) + 64;
  }

  Planner& planner_;
  std::vector<Tensor> buffers_;  // of operands, then of results
  std::size_t operand_buffers_ = 0;
  std::vector<std::byte*> addresses_;
};

// Slices that are contiguous need no step.
void Planner::find_views() {
  for (const ProgramNode& item : program_.nodes) {
    if (!item.lowered.views) continue;
    NodeContext context(*this, item);
    const int operand = id_of(item.node->inputs.at(static_cast<std::size_t>(item.lowered.view_operand)));
    const std::vector<std::int64_t> starts = item.lowered.views(context);
    for (std::size_t i = 0; i < starts.size(); ++i) {
      PlannedValue& value = at(id_of({item.node, static_cast<int>(i)}));
      if (starts[i] < 0 || value.constant != nullptr || value.shape.num_elements() == 0) continue;
      value.alias_of = operand;
      value.alias_offset = starts[i];
    }
  }
}

// The least of a few runs on memory of its own.
// The memory that a candidate is timed on.
void Planner::NodeContext::provide_buffers() {
  addresses_.resize(planner_.values_.size());
  const auto provide = [&](const Place& place) {
    if (place.slot < 0) return;
    if (place.constant != nullptr) {
      addresses_[static_cast<std::size_t>(place.slot)] = static_cast<std::byte*>(const_cast<void*>(place.constant->data()));
      return;
    }
    Tensor buffer(DataType::kUInt8, Shape{static_cast<std::int64_t>(bytes(place))});
    std::memset(buffer.data(), 0, buffer.byte_size());
    addresses_[static_cast<std::size_t>(place.slot)] = static_cast<std::byte*>(buffer.data());
    buffers_.push_back(std::move(buffer));
  };
  for (const Place& operand : operands_) provide(operand);
  operand_buffers_ = buffers_.size();
  for (const Place& result : results_) provide(result);
}

// Leaves the caches as they are in the middle of a network: weights are not in the second level, and every thread has just
// written its part of the operands.
void Planner::NodeContext::set_caches() {
  const std::size_t cold_bytes = 2 * static_cast<std::size_t>(cpu_info().l2_bytes);
  const int threads = planner_.team_.size();
  if (planner_.cold_.empty()) planner_.cold_.resize(cold_bytes * static_cast<std::size_t>(threads), std::byte{1});
  planner_.team_.parallel(threads, [&](int share) {
    const auto part = static_cast<std::size_t>(share), parts = static_cast<std::size_t>(threads);
    const std::byte* cold = planner_.cold_.data() + part * cold_bytes;
    unsigned sum = 0;
    for (std::size_t i = 0; i < cold_bytes; i += 64) sum += static_cast<unsigned>(cold[i]);
    for (std::size_t b = 0; b < operand_buffers_; ++b) {
      auto* data = static_cast<volatile std::uint8_t*>(buffers_[b].data());
      const std::size_t size = buffers_[b].byte_size();
      for (std::size_t i = part * size / parts; i < (part + 1) * size / parts; i += 64) data[i] = static_cast<std::uint8_t>(sum & 0);
    }
  });
}

// The mean of the lower third: less moved by a lucky run than the least, and by other programs than the mean of all.
double typical_time(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  times.resize((times.size() + 2) / 3);
  return std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
}

// The time of every candidate. They run in turns, so that a slow moment of the machine is not one candidate's alone.
std::vector<double> Planner::NodeContext::times(std::span<const Candidate> candidates) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRounds = 24, kFewestRounds = 3;
  constexpr double kLongest = 0.02;  // seconds for each candidate
  std::vector<std::unique_ptr<Step>> steps;
  scratch_ = 0;
  for (const Candidate& candidate : candidates) steps.push_back(candidate.make());
  if (addresses_.empty()) provide_buffers();
  Tensor scratch(DataType::kUInt8, Shape{static_cast<std::int64_t>(scratch_) + 64});
  const Frame frame{addresses_.data(), static_cast<std::byte*>(scratch.data()), &planner_.team_};
  std::vector<std::vector<double>> measured(steps.size());
  double total = 0;
  for (int round = 0; round < kRounds && (round < kFewestRounds || total < kLongest * static_cast<double>(steps.size())); ++round) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      set_caches();
      const auto start = Clock::now();
      steps[i]->run(frame);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (round > 0) measured[i].push_back(seconds);
      total += seconds;
    }
  }
  std::vector<double> typical;
  for (const std::vector<double>& times : measured) typical.push_back(typical_time(times));
  return typical;
}

void Planner::add_step(std::unique_ptr<Step> step, const ProgramNode* origin, std::string kernel, const Shape& shape, double flops,
                       std::size_t scratch) {
  plan_->scratch_bytes = std::max(plan_->scratch_bytes, scratch);
  plan_->steps.push_back({std::move(step), origin, std::move(kernel), shape.to_string(), flops});
}

void Planner::prepare(int n) {
  if (!is_step(n)) return;
  const ProgramNode& item = program_.nodes[static_cast<std::size_t>(n)];
  if (item.lowered.concat != Lowered::Concat::kNo) return prepare_concatenation(n);
  bool empty = true;
  for (std::size_t i = 0; i < item.node->outputs.size(); ++i) {
    if (at(id_of({item.node, static_cast<int>(i)})).shape.num_elements() != 0) empty = false;
  }
  if (empty) return;
  NodeContext context(*this, item);
  auto step = item.lowered.prepare(context);
  if (step == nullptr) return;
  add_step(std::move(step), &item, context.kernel(), at(id_of({item.node, 0})).shape, ops::flops(*item.node), context.scratch());
}

// Copies the parts that are not written in place.
void Planner::prepare_concatenation(int n) {
  const ProgramNode& item = program_.nodes[static_cast<std::size_t>(n)];
  const int concat = id_of({item.node, 0});
  const Concatenation how = concatenation(n);
  std::vector<ConcatPart> parts;
  for (const auto& [part, offset] : how.parts) {
    const PlannedValue& root = at(root_of(part));
    const bool in_place = root.parent == concat && root.offset == offset * how.inner;
    if (!in_place && at(part).shape.num_elements() > 0) parts.push_back({place(part), offset});
  }
  if (parts.empty()) return;
  add_step(make_concat_step(parts, place(concat), how.axis), &item, "concat", at(concat).shape, 0, 0);
}

// Outputs that are not written in place: inputs and constants passed through, values that are two outputs.
void Planner::copy_outputs() {
  const ir::Graph& graph = *program_.graph;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const int id = id_of(graph.outputs[i]);
    const PlannedValue& root = at(root_of(id));
    if (at(id).constant == nullptr && root.constant == nullptr && root.output == static_cast<int>(i) && is_whole(id)) continue;
    if (at(id).shape.num_elements() == 0) continue;
    const Slot slot = static_cast<Slot>(plan_->addresses.size());
    plan_->addresses.push_back({Address::Base::kOutput, static_cast<int>(i), 0, nullptr});
    Place target = place(id);
    target.slot = slot;
    target.pitch = target.last();
    add_step(make_copy_step(place(id), target), nullptr, "copy", at(id).shape, 0, 0);
  }
}

}  // namespace

std::unique_ptr<ShapePlan> make_shape_plan(Program& program, std::span<const InputShape> inputs, TacticChooser& tactics, ThreadTeam& team,
                                           int threads) {
  return Planner(program, inputs, tactics, team, threads).make();
}

}  // namespace tenon::cpu
