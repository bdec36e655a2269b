#include "backends/cpu/lowering/loop.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "backends/cpu/lowering/lowering.h"
#include "backends/cpu/program.h"
#include "backends/cpu/shape_plan.h"
#include "base/error.h"
#include "ir/infer_context.h"
#include "ir/parse.h"
#include "ops/inference.h"
#include "ops/registry.h"

namespace tenon::cpu {
namespace {

std::size_t count_of(const ir::Attrs& attrs, std::string_view name, std::size_t most) {
  const auto count = attrs.get<std::int64_t>(name);
  if (count < 0 || count > static_cast<std::int64_t>(most)) fail(ErrorCode::kIncompatiblePlan, "loop: {} is {}", name, count);
  return static_cast<std::size_t>(count);
}

// What a loop node says.
struct Loop {
  std::size_t states = 0, lists = 0;
  std::unique_ptr<ir::Graph> body, cond;

  // The operand that is the body's parameter p.
  std::size_t operand(std::size_t p) const { return p < states ? p : p + lists; }
};

std::unique_ptr<ir::Graph> parse(const ir::Attrs& attrs, std::string_view name) {
  ir::ParseOptions options;
  options.find_op = [](std::string_view op) { return ops::find_op(op); };
  return ir::parse(attrs.get<std::string>(name), options);
}

Loop read_loop(const ir::Node& node) {
  Loop loop;
  loop.states = count_of(node.attrs, "states", node.inputs.size());
  loop.lists = count_of(node.attrs, "lists", node.inputs.size() - loop.states);
  loop.body = parse(node.attrs, "body");
  loop.cond = parse(node.attrs, "cond");
  const bool fits = loop.body->parameters.size() + loop.lists == node.inputs.size() && loop.cond->outputs.size() == 1 &&
                    loop.cond->parameters.size() <= loop.body->parameters.size() &&
                    loop.body->outputs.size() == loop.states + 2 * loop.lists;
  if (!fits) fail(ErrorCode::kIncompatiblePlan, "{}: its body and its operands differ in number", node.describe());
  return loop;
}

void infer_graph(ir::Graph& graph, const Loop& loop, const std::function<const ir::ValueType&(std::size_t)>& type, SymbolSource& symbols) {
  for (std::size_t p = 0; p < graph.parameters.size(); ++p) {
    graph.parameters[p]->attrs.set("dtype", type(loop.operand(p)).dtype);
    graph.parameters[p]->attrs.set("shape", type(loop.operand(p)).shape);
  }
  ops::InferenceOptions options;
  options.keep_known = false;
  ops::Facts facts(symbols, options);
  ops::infer(graph, facts, options);
}

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs.at(static_cast<std::size_t>(value.index)); }

// A row's sizes outside the body: symbols that the operands do not have are new to the graph.
void append_row(ir::InferContext& ctx, const PartialShape& row, std::vector<Dim>& dims) {
  const auto is_operands = [&](Dim dim) {
    for (int i = 0; i < ctx.num_inputs(); ++i) {
      const PartialShape& shape = ctx.input_shape(i);
      if (shape.known_rank() && std::find(shape.dims().begin(), shape.dims().end(), dim) != shape.dims().end()) return true;
    }
    return false;
  };
  for (const Dim& dim : row.dims()) dims.push_back(dim.known() || is_operands(dim) ? dim : ctx.fresh());
}

void infer_loop(ir::InferContext& ctx) {
  const Loop loop = read_loop(ctx.node());
  SymbolSource symbols;
  infer_graph(*loop.body, loop, [&](std::size_t i) -> const ir::ValueType& { return ctx.input(static_cast<int>(i)); }, symbols);
  ctx.set_num_outputs(static_cast<int>(loop.states + loop.lists));
  for (std::size_t s = 0; s < loop.states; ++s) {
    const ir::ValueType& state = ctx.input(static_cast<int>(s));
    if (type_of(loop.body->outputs[s]).dtype != state.dtype) ctx.fail_node("state {} changes its dtype", s);
    ctx.set_output(static_cast<int>(s), state.dtype, state.shape);
  }
  for (std::size_t l = 0; l < loop.lists; ++l) {
    const ir::ValueType& row = type_of(loop.body->outputs[loop.states + 2 * l + 1]);
    const int result = static_cast<int>(loop.states + l);
    if (!row.shape.known_rank()) {
      ctx.set_output(result, row.dtype, {});
      continue;
    }
    const auto length = ctx.dims(static_cast<int>(loop.states + l));
    std::vector<Dim> dims = {length && length->size() == 1 ? length->at(0) : ctx.fresh()};
    append_row(ctx, row.shape, dims);
    ctx.set_output(result, row.dtype, PartialShape(std::move(dims)));
  }
}

constexpr ir::OpDef kLoop{"loop", infer_loop, nullptr};

// The body's parameters that never change are the loop's operands.
class OperandWeights : public WeightSource {
 public:
  OperandWeights(WeightSource& outside, const ir::Node& node, const Loop& loop, const ir::Graph& graph) : outside_(outside) {
    for (std::size_t p = loop.states; p < graph.parameters.size(); ++p) operands_[graph.parameters[p]] = node.inputs[loop.operand(p)];
  }
  bool is_constant(ir::Value value) const override { return outside_.is_constant(outer(value)); }
  const Tensor* constant(ir::Value value) const override { return outside_.constant(outer(value)); }
  const void* packed(ir::Value value, const std::string& layout, std::size_t size,
                     const std::function<void(const Tensor&, void*)>& pack) override {
    return outside_.packed(outer(value), layout, size, pack);
  }
  const void* packed_when_loaded(ir::Value value, const std::string& layout, std::size_t size,
                                 const std::function<void(const Tensor&, void*)>& pack) override {
    return outside_.packed_when_loaded(outer(value), layout, size, pack);
  }

 private:
  ir::Value outer(ir::Value value) const {
    const auto it = operands_.find(value.node);
    return it == operands_.end() ? value : it->second;
  }

  WeightSource& outside_;
  std::unordered_map<const ir::Node*, ir::Value> operands_;
};

struct LoopPrograms {
  std::size_t states = 0, lists = 0;
  Program body, cond;
  std::vector<PartialShape> assumed;  // of the body's parameters: sizes that share a symbol were taken as equal

  std::size_t operand(std::size_t p) const { return p < states ? p : p + lists; }
};

// Operands that no step of a round reads, and those of them that were only packed.
void find_unread(const LoopPrograms& loop, Lowered& lowered) {
  for (std::size_t l = 0; l < loop.lists; ++l) lowered.unread.add(static_cast<int>(loop.states + l));
  for (std::size_t p = loop.states; p < loop.body.graph->parameters.size(); ++p) {
    bool used = false, read = false, packed = true;
    for (const Program* program : {&loop.body, &loop.cond}) {
      if (p >= program->graph->parameters.size()) continue;
      const ir::Value parameter{program->graph->parameters[p], 0};
      for (const ProgramNode& item : program->nodes) {
        for (std::size_t i = 0; i < item.node->inputs.size(); ++i) {
          if (item.node->inputs[i] != parameter) continue;
          used = true;
          read |= !item.lowered.unread.has(static_cast<int>(i));
          packed &= item.lowered.packed.has(static_cast<int>(i));
        }
      }
      for (const ir::Value& output : program->graph->outputs) read |= output == parameter;
    }
    const auto position = static_cast<int>(loop.operand(p));
    if (position >= 63) continue;  // those share a flag
    if (!read) lowered.unread.add(position);
    if (used && !read && packed) lowered.packed.add(position);
  }
}

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// A program's plan, and where its memory lies in the step's scratch.
struct Part {
  std::unique_ptr<ShapePlan> plan;
  std::size_t arena = 0, scratch = 0, table = 0;
};

// Where what of a running loop lies in scratch memory.
class LoopStep : public Step {
 public:
  LoopStep(PlanContext& ctx, LoopPrograms& loop) : states_(loop.states), lists_(loop.lists) {
    std::vector<InputShape> shapes;
    for (std::size_t p = 0; p < loop.body.graph->parameters.size(); ++p) {
      operands_.push_back(ctx.operand(static_cast<int>(loop.operand(p))));
      shapes.push_back({operands_.back().shape, Tensor()});
    }
    check_assumptions(ctx, loop);
    plan_part(ctx, loop.body, shapes, body_);
    shapes.resize(loop.cond.graph->parameters.size());
    plan_part(ctx, loop.cond, shapes, cond_);
    check_results(ctx);
    for (int i = 0; i < ctx.num_results(); ++i) results_.push_back(ctx.result(i));
    for (std::size_t s = 0; s < states_; ++s) states_at_.push_back({take(bytes(operands_[s])), take(bytes(operands_[s]))});
    for (std::size_t i = states_; i < body_.plan->outputs.size(); ++i) rows_at_.push_back(take(bytes(body_.plan->outputs[i])));
    more_at_ = take(1);
    ctx.need_scratch(size_);
  }

  void run(const Frame& frame) const override {
    for (std::size_t s = 0; s < states_; ++s) copy(frame.scratch + states_at_[s][0], frame.at<std::byte>(operands_[s].slot), bytes(operands_[s]));
    for (std::size_t l = 0; l < lists_; ++l) {
      const Place& list = results_[states_ + l];
      if (list.slot >= 0) std::memset(frame.at<void>(list.slot), 0, bytes(list));
    }
    bind(frame);
    int now = 0;
    for (; run_part(cond_, now, frame), frame.scratch[more_at_] != std::byte{0}; now = 1 - now) {
      run_part(body_, now, frame);
      for (std::size_t l = 0; l < lists_; ++l) write_row(l, frame);
    }
    for (std::size_t s = 0; s < states_; ++s) {
      const std::byte* last = frame.scratch + states_at_[s][static_cast<std::size_t>(now)];
      if (results_[s].slot >= 0) copy(frame.at<std::byte>(results_[s].slot), last, bytes(operands_[s]));
    }
  }

 private:
  static std::size_t bytes(const Place& place) { return static_cast<std::size_t>(place.elements()) * dtype_size(place.dtype); }
  static std::size_t bytes(const PlannedOutput& output) {
    return static_cast<std::size_t>(output.shape.num_elements()) * dtype_size(output.dtype);
  }
  static void copy(std::byte* to, const std::byte* from, std::size_t size) {
    if (size > 0) std::memcpy(to, from, size);
  }

  std::size_t take(std::size_t size) {
    const std::size_t at = size_;
    size_ += aligned(std::max<std::size_t>(size, 1));
    return at;
  }

  void check_assumptions(const PlanContext& ctx, const LoopPrograms& loop) const {
    std::unordered_map<std::int64_t, std::int64_t> sizes;
    for (std::size_t p = 0; p < operands_.size(); ++p) {
      const PartialShape& assumed = loop.assumed[p];
      if (!assumed.known_rank()) continue;
      const Shape& shape = operands_[p].shape;
      bool same = assumed.rank() == shape.rank();
      for (int d = 0; same && d < shape.rank(); ++d) {
        same = assumed[d].known() ? assumed[d].size() == shape[d] : sizes.emplace(assumed[d].symbol_id(), shape[d]).first->second == shape[d];
      }
      if (!same) fail(ErrorCode::kUnsupported, "{}: operands have sizes that its body takes as equal", ctx.node().describe());
    }
  }

  void plan_part(PlanContext& ctx, Program& program, std::vector<InputShape> shapes, Part& part) {
    for (const int p : program.shape_parameters) {
      const Place& operand = operands_.at(static_cast<std::size_t>(p));
      if (static_cast<std::size_t>(p) < states_ || operand.constant == nullptr) {
        fail(ErrorCode::kUnsupported, "{}: sizes in the loop depend on data", ctx.node().describe());
      }
      shapes.at(static_cast<std::size_t>(p)).value = *operand.constant;
    }
    part.plan = ctx.plan_inside(program, shapes);
    part.arena = take(part.plan->arena_bytes);
    part.scratch = take(part.plan->scratch_bytes);
    part.table = take(2 * part.plan->addresses.size() * sizeof(std::byte*));
  }

  void check_results(const PlanContext& ctx) const {
    const auto& next = body_.plan->outputs;
    for (std::size_t s = 0; s < states_; ++s) {
      if (next[s].shape == operands_[s].shape && next[s].dtype == operands_[s].dtype) continue;
      fail(ErrorCode::kUnsupported, "{}: the shape of state {} changes from {} to {}", ctx.node().describe(), s,
           operands_[s].shape.to_string(), next[s].shape.to_string());
    }
    for (std::size_t l = 0; l < lists_; ++l) {
      const PlannedOutput& index = next[states_ + 2 * l];
      const Place& list = ctx.result(static_cast<int>(states_ + l));
      if (index.dtype != DataType::kInt32 || index.shape.num_elements() != 1 || list.shape.rank() == 0 ||
          bytes(next[states_ + 2 * l + 1]) * static_cast<std::size_t>(list.shape[0]) != bytes(list)) {
        fail(ErrorCode::kUnsupported, "{}: the rows of list {} are not its elements", ctx.node().describe(), l);
      }
    }
    const PlannedOutput& more = cond_.plan->outputs.at(0);
    if (more.dtype != DataType::kBool || more.shape.num_elements() != 1) {
      fail(ErrorCode::kUnsupported, "{}: its condition is not one truth value", ctx.node().describe());
    }
  }

  // The addresses of even and odd rounds: states change places.
  void bind(const Frame& frame) const {
    for (const std::size_t now : {0, 1}) {
      bind(body_, now, frame, [&](std::size_t i) { return i < states_ ? states_at_[i][1 - now] : rows_at_[i - states_]; });
      bind(cond_, now, frame, [&](std::size_t) { return more_at_; });
    }
  }

  template <class Output>
  void bind(const Part& part, std::size_t now, const Frame& frame, Output&& output) const {
    std::byte** table = addresses(part, now, frame);
    for (std::size_t i = 0; i < part.plan->addresses.size(); ++i) {
      const Address& address = part.plan->addresses[i];
      const auto index = static_cast<std::size_t>(address.index);
      std::byte* base = frame.scratch + part.arena;
      if (address.base == Address::Base::kInput) {
        base = index < states_ ? frame.scratch + states_at_[index][now] : frame.at<std::byte>(operands_[index].slot);
      } else if (address.base == Address::Base::kOutput) {
        base = frame.scratch + output(index);
      } else if (address.base == Address::Base::kFixed) {
        base = const_cast<std::byte*>(address.fixed);
      }
      table[i] = base + address.offset;
    }
  }

  std::byte** addresses(const Part& part, std::size_t now, const Frame& frame) const {
    return reinterpret_cast<std::byte**>(frame.scratch + part.table) + now * part.plan->addresses.size();
  }

  void run_part(const Part& part, int now, const Frame& frame) const {
    const Frame inside{addresses(part, static_cast<std::size_t>(now), frame), frame.scratch + part.scratch, frame.team};
    for (const PlannedStep& step : part.plan->steps) step.step->run(inside);
  }

  void write_row(std::size_t l, const Frame& frame) const {
    const Place& list = results_[states_ + l];
    std::int32_t index = 0;
    std::memcpy(&index, frame.scratch + rows_at_[2 * l], sizeof index);
    if (index < 0 || index >= list.shape[0]) {
      fail(ErrorCode::kInvalidArgument, "a loop writes element {} of a tensor list of {}", index, list.shape[0]);
    }
    const std::size_t size = bytes(body_.plan->outputs[states_ + 2 * l + 1]);
    if (list.slot >= 0) copy(frame.at<std::byte>(list.slot) + static_cast<std::size_t>(index) * size, frame.scratch + rows_at_[2 * l + 1], size);
  }

  std::size_t states_, lists_;
  std::vector<Place> operands_;  // by the body's parameters
  std::vector<Place> results_;
  Part body_, cond_;
  std::vector<std::array<std::size_t, 2>> states_at_;  // offsets into scratch memory
  std::vector<std::size_t> rows_at_;                   // row number, content, row number, …
  std::size_t more_at_ = 0;
  std::size_t size_ = 0;
};

Verdict supports_loop_node(const ir::Node&) { return Verdict::yes(); }

Lowered lower_loop(const ir::Node& node, WeightSource& weights) {
  Loop loop = read_loop(node);
  auto programs = std::make_shared<LoopPrograms>();
  programs->states = loop.states;
  programs->lists = loop.lists;
  for (const ir::Node* parameter : loop.body->parameters) programs->assumed.push_back(parameter->attr_or<PartialShape>("shape", {}));
  SymbolSource symbols;
  const auto type = [&](std::size_t i) -> const ir::ValueType& { return type_of(node.inputs.at(i)); };
  infer_graph(*loop.body, loop, type, symbols);
  infer_graph(*loop.cond, loop, type, symbols);
  OperandWeights body_weights(weights, node, loop, *loop.body), cond_weights(weights, node, loop, *loop.cond);
  programs->body = make_program(std::move(loop.body), body_weights);
  programs->cond = make_program(std::move(loop.cond), cond_weights);
  Lowered lowered;
  lowered.kernel = "loop";
  find_unread(*programs, lowered);
  lowered.prepare = [programs](PlanContext& ctx) -> std::unique_ptr<Step> { return std::make_unique<LoopStep>(ctx, *programs); };
  return lowered;
}

constexpr Lowering kLowerings[] = {{"loop", supports_loop_node, lower_loop}};

}  // namespace

const ir::OpDef& loop_op() { return kLoop; }

const LoweringFamily& loop_lowerings() {
  static const LoweringFamily family{"loop", kLowerings};
  return family;
}

}  // namespace tenon::cpu
