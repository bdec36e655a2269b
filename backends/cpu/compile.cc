#include "backends/cpu/compile.h"

#include <algorithm>
#include <unordered_set>

#include "backends/cpu/executable.h"
#include "backends/cpu/freeze.h"
#include "backends/cpu/loop_graph.h"
#include "backends/cpu/lowering/loop.h"
#include "backends/cpu/program.h"
#include "backends/cpu/shape_plan.h"
#include "backends/cpu/tactics.h"
#include "backends/cpu/weights.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "ops/inference.h"
#include "ops/registry.h"
#include "passes/pipeline.h"
#include "passes/unroll_loops.h"
#include "plan/graph_codec.h"

namespace tenon::cpu {
namespace {

// Changes with every change to packed layouts, lowerings or what optimization does.
constexpr std::string_view kBuild = "tenon 0.1.0 cpu 6";

void report(const CompileOptions& options, std::string_view what, double done) {
  if (options.cancel != nullptr && options.cancel->load()) fail(ErrorCode::kCancelled, "engine: building was cancelled");
  if (options.progress) options.progress(what, done);
}

// Loops are unrolled, else they become nodes that run them.
std::unique_ptr<ir::Graph> without_loops(const Segment& segment, WeightsProvider& weights, SymbolSource& symbols) {
  auto graph = ir::clone(*segment.graph);
  ops::skip_used_symbols(*graph, symbols);
  const bool has_loops = std::any_of(graph->nodes().begin(), graph->nodes().end(), [](const auto& node) { return node->is("while"); });
  if (!has_loops) return graph;
  if (segment.module == nullptr) fail(ErrorCode::kUnsupported, "{}: the functions of its loops are missing", segment.name);
  if (passes::unroll_loops(*graph, *segment.module, symbols)) return graph;
  graph = ir::clone(*segment.graph);
  if (auto verdict = lower_loops(graph, *segment.module, weights, symbols); !verdict) {
    fail(ErrorCode::kUnsupported, "{}: a loop does not run in an engine: {}", segment.name, verdict.reason());
  }
  return graph;
}

std::unique_ptr<ir::Graph> optimized(const Segment& segment, const CompileOptions& options) {
  NoWeights none;
  WeightsProvider& weights = options.weights ? *options.weights : none;
  SymbolSource symbols;
  auto graph = without_loops(segment, weights, symbols);
  freeze_variables(*graph, weights);
  ops::InferenceOptions inference;
  ops::Facts facts(symbols, inference);
  ops::infer(*graph, facts, inference);
  passes::optimize(*graph, passes::PipelineOptions{}, symbols);
  return graph;
}

std::vector<plan::Binding> input_bindings(const ir::Graph& graph) {
  std::vector<plan::Binding> bindings;
  for (const ir::Node* parameter : graph.parameters) {
    bindings.push_back({parameter->name, parameter->outputs.at(0).dtype, parameter->outputs.at(0).shape});
  }
  return bindings;
}

std::vector<plan::Binding> output_bindings(const ir::Graph& graph) {
  std::vector<plan::Binding> bindings;
  for (const ir::Value& output : graph.outputs) {
    const ir::ValueType& type = output.node->outputs.at(static_cast<std::size_t>(output.index));
    bindings.push_back({fmt::format("{}:{}", output.node->name, output.index), type.dtype, type.shape});
  }
  return bindings;
}

// What an entry was made for; nothing when it serves every shape.
std::vector<InputShape> tuning_shapes(const ir::Graph& graph, const plan::Entry& entry) {
  std::vector<InputShape> shapes;
  for (std::size_t i = 0; i < entry.opt.size(); ++i) {
    InputShape input;
    input.shape = Shape(entry.opt[i]);
    const DataType dtype = graph.parameters.at(i)->outputs.at(0).dtype;
    if (i < entry.opt_values.size() && static_cast<std::int64_t>(entry.opt_values[i].size()) == input.shape.num_elements() &&
        (dtype == DataType::kInt32 || dtype == DataType::kInt64)) {
      input.value = Tensor(dtype, input.shape);
      for (std::size_t e = 0; e < entry.opt_values[i].size(); ++e) {
        if (dtype == DataType::kInt64) {
          input.value.flat<std::int64_t>()[e] = entry.opt_values[i][e];
        } else {
          input.value.flat<std::int32_t>()[e] = static_cast<std::int32_t>(entry.opt_values[i][e]);
        }
      }
    }
    shapes.push_back(std::move(input));
  }
  return shapes;
}

// The shapes to tune for without entries: unknown sizes count as 1.
std::vector<InputShape> tuning_shapes(const ir::Graph& graph, const CompileOptions& options) {
  std::vector<InputShape> shapes;
  for (std::size_t i = 0; i < graph.parameters.size(); ++i) {
    const PartialShape& own = graph.parameters[i]->outputs.at(0).shape;
    const PartialShape& wanted = i < options.opt_shapes.size() && options.opt_shapes[i].known_rank() ? options.opt_shapes[i] : own;
    InputShape input;
    if (wanted.known_rank()) {
      for (const Dim& dim : wanted.dims()) input.shape.push_back(dim.known() ? dim.size() : 1);
    }
    shapes.push_back(std::move(input));
  }
  return shapes;
}

// What to measure at: each entry's shapes, and the options' when there is an entry for every shape.
std::vector<std::vector<InputShape>> all_tuning_shapes(const Program& program, const std::vector<plan::Binding>& inputs,
                                                       const CompileOptions& options) {
  std::vector<std::vector<InputShape>> all;
  bool unlimited = options.entries.empty();
  for (const plan::Entry& entry : options.entries) {
    unlimited |= entry.opt.empty();
    if (entry.opt.size() == inputs.size()) all.push_back(tuning_shapes(*program.graph, entry));
  }
  const bool unknown = options.opt_shapes.empty() && std::any_of(inputs.begin(), inputs.end(), [](const plan::Binding& input) {
                         return input.dtype != DataType::kResource && !input.shape.known_rank();
                       });
  if (unlimited && !unknown && program.shape_parameters.empty()) all.push_back(tuning_shapes(*program.graph, options));
  return all;
}

// Measures tactics at the tuning shapes; what they leave unknown (sizes that are inputs) stays untuned.
TacticTable tune(Program& program, const std::vector<plan::Binding>& inputs, const CompileOptions& options) {
  TacticTable table;
  CompileOptions settled = options;
  if (settled.threads <= 0) settled.threads = ThreadTeam::available_cpus();
  TacticTuner tuner(settled, device_stamp(), table);
  ThreadTeam team(settled.threads);
  for (const std::vector<InputShape>& shapes : all_tuning_shapes(program, inputs, options)) {
    try {
      make_shape_plan(program, shapes, tuner, team, settled.threads);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kOutOfMemory) throw;
      // Sizes of 1 may not fit this graph: shapes that come at run time decide.
    }
  }
  return table;
}

// The types of a graph's values, which a shape plan overwrites.
class SavedTypes {
 public:
  explicit SavedTypes(ir::Graph& graph) : graph_(graph) {
    for (const auto& node : graph.nodes()) types_.push_back(node->outputs);
  }
  void restore() const {
    for (std::size_t i = 0; i < types_.size(); ++i) graph_.nodes()[i]->outputs = types_[i];
    for (ir::Node* parameter : graph_.parameters) parameter->attrs.set("shape", parameter->outputs.at(0).shape);
  }

 private:
  ir::Graph& graph_;
  std::vector<std::vector<ir::ValueType>> types_;
};

// Constants that were only packed keep their type and lose their value.
void drop_packed_constants(Program& program) {
  std::unordered_set<const ir::Node*> packed, plain;
  for (const ProgramNode& item : program.nodes) {
    for (std::size_t i = 0; i < item.node->inputs.size(); ++i) {
      (item.lowered.packed.has(static_cast<int>(i)) ? packed : plain).insert(item.node->inputs[i].node);
    }
  }
  for (const ir::Value& output : program.graph->outputs) plain.insert(output.node);
  for (const auto& node : program.graph->nodes()) {
    if (!node->is("const") || !packed.contains(node.get()) || plain.contains(node.get())) continue;
    node->attrs = {};
    node->attrs.set("dtype", node->outputs[0].dtype);
    node->attrs.set("shape", node->outputs[0].shape);
    node->op = &packed_const_op();
  }
}

// Types follow from the graph, whatever the file says; this also checks every node's operands and attributes. What compiling
// knew besides is kept: lowerings must decide as they did then.
void infer_types(ir::Graph& graph) {
  SymbolSource symbols;
  ops::InferenceOptions options;
  ops::Facts facts(symbols, options);
  ops::infer(graph, facts, options);
}

const ir::OpDef* find_op(std::string_view name) {
  if (name == packed_const_op().name) return &packed_const_op();
  return name == loop_op().name ? &loop_op() : ops::find_op(name);
}

}  // namespace

plan::Stamp device_stamp() {
  return {"cpu", cpu_info().stamp, std::string(isa_name(cpu_info().isa)), "own kernels", std::string(kBuild)};
}

plan::Engine compile(const Segment& segment, const CompileOptions& options) {
  report(options, "optimizing " + segment.name, 0);
  plan::Engine engine;
  engine.name = segment.name;
  engine.precision = std::string(options.precision.name());
  engine.stamp = device_stamp();
  engine.entries = options.entries;
  if (engine.entries.empty()) engine.entries.emplace_back();

  auto graph = optimized(segment, options);
  engine.inputs = input_bindings(*graph);
  engine.outputs = output_bindings(*graph);
  report(options, "packing weights of " + segment.name, 0.2);
  WeightPacker weights;
  Program program = make_program(std::move(graph), weights);
  const SavedTypes types(*program.graph);

  report(options, "measuring kernels of " + segment.name, 0.3);
  const TacticTable tactics = tune(program, engine.inputs, options);
  types.restore();
  report(options, "storing " + segment.name, 0.9);
  drop_packed_constants(program);
  plan::BlobWriter blob;
  engine.add_section("graph", plan::encode_graph(*program.graph, blob));
  engine.add_section("packed", weights.store(blob));
  engine.add_section("tactics", tactics.serialize());
  engine.add_section("weights", blob.take());
  report(options, "built " + segment.name, 1);
  return engine;
}

std::unique_ptr<Executable> load(const plan::Engine& engine, const DeviceOptions& options) {
  if (auto verdict = plan::compatible(engine, device_stamp()); !verdict) fail(ErrorCode::kIncompatiblePlan, "{}", verdict.reason());
  const plan::Section& blob = engine.section("weights");
  LoadedPlan loaded;
  loaded.name = engine.name;
  loaded.inputs = engine.inputs;
  loaded.owner = blob.owner;
  auto weights = std::make_unique<StoredWeights>(engine.section("packed").bytes, blob.bytes);
  loaded.tactics = TacticTable(engine.section("tactics").bytes);
  auto graph = plan::decode_graph(engine.section("graph").bytes, blob.bytes, blob.owner, find_op);
  if (graph->parameters.size() != engine.inputs.size() || graph->outputs.size() != engine.outputs.size()) {
    fail(ErrorCode::kIncompatiblePlan, "engine \"{}\": its bindings do not fit its graph; build it again", engine.name);
  }
  try {
    infer_types(*graph);
    loaded.program = make_program(std::move(graph), *weights);
  } catch (const std::exception& error) {
    fail(ErrorCode::kIncompatiblePlan, "engine \"{}\": {}; build it again", engine.name, error.what());
  }
  loaded.weight_bytes = blob.bytes.size() + weights->own_bytes();
  loaded.weights = std::move(weights);
  return std::make_unique<CpuExecutable>(std::move(loaded), options);
}

}  // namespace tenon::cpu
