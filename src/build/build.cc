#include "build/build.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "build/measure.h"
#include "build/native_report.h"
#include "build/work.h"
#include "export/export.h"
#include "ops/inference.h"
#include "partition/equal_graphs.h"
#include "partition/function_types.h"
#include "partition/partition.h"
#include "plan/timing_cache.h"
#include "savedmodel/write.h"

namespace tenon::build {
namespace {

// How long a segment is timed for the decision whether it pays, native and engine each.
constexpr double kMeasureSeconds = 0.3;

// Whether two shapes to tune for are the same; unknown sizes count as 1.
bool tuned_alike(const PartialShape& a, const PartialShape& b) {
  if (!a.known_rank() || !b.known_rank()) return a.known_rank() == b.known_rank();
  return std::ranges::equal(a.dims(), b.dims(), [](Dim x, Dim y) { return x.known() || y.known() ? x == y : true; });
}

class Converter {
 public:
  Converter(const Input& input, Backend& backend, const ConvertOptions& options)
      : input_(input), backend_(backend), options_(options) {
    precision_.mode = parse_precision(options.precision);
  }

  ConvertReport run(const std::string& output) {
    const auto start = std::chrono::steady_clock::now();
    check_output(output);
    load_timing_cache();
    partition::PartitionOptions partition_options;
    partition_options.precision = precision_;
    partition_options.minimum_segment_size = options_.minimum_segment_size;
    partition_options.op_denylist = options_.op_denylist;
    step("partitioning", 0.01);
    const partition::KnownArguments known = partition::known_arguments(input_.module, partition::frozen_variables(input_.module));
    partition::infer_functions(input_.module, known);
    partition_ = partition::partition(input_.module, backend_, partition_options);
    infer_at_measured_shapes(known);
    build_engines();
    report_natives();
    save_timing_cache();  // before the result: when either fails, there is none
    write(output);
    step("done", 1.0);
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(report_);
  }

 private:
  static PrecisionMode parse_precision(const std::string& name) {
    if (name == "FP32" || name == "fp32") return PrecisionMode::kFp32;
    fail(ErrorCode::kUnsupported, "precision \"{}\" is not available; this version builds FP32 engines", name);
  }

  void step(const std::string& what, double done) const {
    if (options_.cancel != nullptr && options_.cancel->load()) fail(ErrorCode::kCancelled, "the conversion was cancelled");
    if (options_.progress) options_.progress(what, done);
  }

  // Before minutes of work, what would make writing fail at the end anyway.
  void check_output(const std::string& output) const {
    std::error_code error;
    saved::check_output(input_.model, output, true);
    if (std::filesystem::exists(std::filesystem::symlink_status(output, error)) && !options_.force) {
      fail(ErrorCode::kInvalidArgument, "output folder {} exists; remove it, or replace it with --force (force=True)", output);
    }
    const std::filesystem::path folder = std::filesystem::path(options_.timing_cache).parent_path();
    if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
      fail(ErrorCode::kIo, "timing cache {}: the folder {} does not exist", options_.timing_cache, folder.string());
    }
  }

  void load_timing_cache() {
    if (options_.timing_cache.empty()) return;
    const std::string problem = cache_.load(options_.timing_cache);
    if (!problem.empty()) report_.notes.push_back(problem);
  }

  void save_timing_cache() {
    if (!options_.timing_cache.empty()) cache_.save(options_.timing_cache);
  }

  // The types when the inputs have the shapes to measure at: on copies, so that the model keeps its unknown sizes.
  void infer_at_measured_shapes(const partition::KnownArguments& known) {
    auto& copies = measured_of_;
    measured_ = ir::clone(*input_.module.main, &copies);
    const NamedShapes& wanted =
        !options_.shapes.empty() ? options_.shapes : !options_.max_shapes.empty() ? options_.max_shapes : options_.min_shapes;
    std::set<std::string> used;
    for (const ir::Signature& signature : input_.module.signatures) {
      for (const ir::Binding& binding : signature.inputs) {
        if (!binding.value) continue;
        ir::Node& node = *copies.at(binding.value.node);
        const auto given = wanted.find(binding.key);
        if (given != wanted.end()) used.insert(binding.key);
        bind_input(node, binding, given == wanted.end() ? nullptr : &given->second);
      }
    }
    for (const auto& [name, shape] : wanted) {
      if (!used.contains(name)) fail(ErrorCode::kInvalidArgument, "a shape was given for \"{}\", which is no input of a converted signature", name);
    }
    for (const auto& node : measured_->nodes()) {
      if (node->is("placeholder") || node->is("placeholder_with_default")) continue;
      for (ir::ValueType& type : node->outputs) type.shape = {};
    }
    for (const auto& [name, function] : input_.module.functions) measured_functions_[name] = ir::clone(*function, &copies);
    partition::KnownArguments known_copies;
    for (const auto& [parameter, value] : known) known_copies.emplace(copies.at(parameter), value);
    SymbolSource symbols;
    while (symbols.count() < input_.module.symbols.count()) symbols.fresh();
    trips_ = partition::infer_first_calls(*measured_, measured_functions_, known_copies, symbols);
  }

  void bind_input(ir::Node& node, const ir::Binding& binding, const std::vector<std::int64_t>* given) {
    PartialShape shape = binding.type.shape.known_rank() ? binding.type.shape : node.outputs[0].shape;
    if (given != nullptr) {
      const Shape concrete(*given);
      if (!shape.admits(concrete)) {
        fail(ErrorCode::kInvalidArgument, "input \"{}\" has shape {}, {} was given for measuring", binding.key, shape.to_string(),
             concrete.to_string());
      }
      shape = concrete;
    } else if (shape.known_rank()) {
      for (int i = 0; i < shape.rank(); ++i) {
        if (shape[i].known()) continue;
        if (i > 0) {
          report_.notes.push_back(fmt::format("input \"{}\": dimension {} is unknown and no shape was given: engines are not tuned for it",
                                              binding.key, i));
        } else {
          report_.notes.push_back(fmt::format("input \"{}\": the batch is unknown and no shape was given: engines are tuned for 1", binding.key));
        }
        shape[i] = Dim(1);
      }
    }
    node.attrs.set("shape", shape);
    for (ir::ValueType& type : node.outputs) type.shape = shape;
  }

  const ir::ValueType& measured_type(const ir::Value& value) const {
    return measured_of_.at(value.node)->outputs.at(static_cast<std::size_t>(value.index));
  }

  void build_engines() {
    work_ = std::make_unique<Work>(input_.module, partition_, measured_of_, trips_);
    std::vector<partition::SegmentPlan> kept;
    auto& segments = partition_.segments;
    const std::size_t count = segments.size();
    for (std::size_t i = 0, done = 0; done < count; ++done) {
      const double share = 0.05 + 0.9 * static_cast<double>(done) / static_cast<double>(count);
      const std::string name = segments[i].name;
      step(fmt::format("building {} ({} of {})", name, done + 1, count), share);
      const std::string reason = build_engine(segments[i], share, 0.9 / static_cast<double>(count));
      if (reason.empty()) {
        ++i;
      } else {
        report_.notes.push_back(fmt::format("{} stays native: {}", name, reason));
        partition::dissolve(partition_, i, reason);
      }
    }
  }

  // A segment that was decided on: equal ones get its engine, or stay native for its reason.
  struct Decided {
    Segment segment;
    std::vector<PartialShape> opt_shapes;
    std::string reason;  // why it is native; empty when it has an engine
  };

  std::vector<PartialShape> opt_shapes(const partition::SegmentPlan& plan) const {
    std::vector<PartialShape> shapes;
    for (const ir::Value& input : plan.inputs) shapes.push_back(measured_type(input).shape);
    return shapes;
  }

  // What equal segments have in common: their ops in any order.
  static std::uint64_t kind_of(const Segment& segment) {
    std::uint64_t kind = segment.graph->outputs.size();
    for (const auto& node : segment.graph->nodes()) kind += hash64(node->op->name);
    return kind;
  }

  // An earlier segment that computes the same and is tuned for the same shapes, or null. The plan's inputs then stand in the order
  // of that segment's.
  const Decided* find_equal(partition::SegmentPlan& plan, const Segment& segment) {
    const auto [first, last] = decided_.equal_range(kind_of(segment));
    for (auto it = first; it != last; ++it) {
      const auto match = partition::corresponding(*it->second.segment.graph, *segment.graph, &input_.module, true);
      if (!match) continue;
      partition::SegmentPlan reordered = plan;
      for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
        reordered.inputs[i] = plan.inputs[match->parameters[i]];
        reordered.known[i] = plan.known[match->parameters[i]];
      }
      if (!std::ranges::equal(opt_shapes(reordered), it->second.opt_shapes, tuned_alike)) continue;
      plan = std::move(reordered);
      return &it->second;
    }
    return nullptr;
  }

  // Compiles and measures one segment, or finds the engine of an equal one; the result says why it stays native, empty when its
  // engine is kept.
  std::string build_engine(partition::SegmentPlan& plan, double share, double width) {
    Segment segment = partition::extract(plan);
    segment.module = &input_.module;
    EngineReport report{plan.name, static_cast<int>(plan.nodes.size() + plan.constants.size()), {}, 0, 0, 0, 0, {}};
    for (const ir::Node* node : plan.nodes) {
      ++report.ops[node->origin.op_type];
      report.flops += work_->runs(*plan.graph) * work_->of_node(*node);
    }
    for (const ir::Node* node : plan.constants) ++report.ops[node->origin.op_type];
    if (const Decided* equal = find_equal(plan, segment); equal != nullptr) {
      if (equal->reason.empty()) share_engine(equal->segment.name, std::move(report));
      return equal->reason;
    }
    const std::uint64_t kind = kind_of(segment);
    std::string reason = build_own_engine(plan, segment, std::move(report), share, width);
    decided_.emplace(kind, Decided{std::move(segment), opt_shapes(plan), reason});
    return reason;
  }

  void share_engine(const std::string& name, EngineReport report) {
    const auto owner = std::find_if(report_.engines.begin(), report_.engines.end(), [&](const EngineReport& r) { return r.name == name; });
    report.native_ms = owner->native_ms;
    report.engine_ms = owner->engine_ms;
    report.shared_with = name;
    engine_of_[report.name] = name;
    report_.engines.push_back(std::move(report));
  }

  std::string build_own_engine(const partition::SegmentPlan& plan, const Segment& segment, EngineReport report, double share, double width) {
    CompileOptions compile;
    compile.precision = precision_;
    compile.threads = options_.threads;
    compile.timing_cache = &cache_;
    compile.weights = &input_.weights;
    compile.cancel = options_.cancel;
    compile.progress = [&](std::string_view what, double done) { step(fmt::format("{}: {}", plan.name, what), share + width * done * 0.8); };
    compile.opt_shapes = opt_shapes(plan);
    plan::Engine engine;
    try {
      engine = backend_.compile(segment, compile);
      if (const std::string reason = why_not_worth(plan, segment, engine, report); !reason.empty()) return reason;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kOutOfMemory) throw;
      return std::string("building its engine failed: ") + error.what();
    }
    report.bytes = engine.byte_size();
    engines_.emplace(plan.name, std::move(engine));
    engine_of_[plan.name] = plan.name;
    report_.engines.push_back(std::move(report));
    return {};
  }

  std::string why_not_worth(const partition::SegmentPlan& plan, const Segment& segment, const plan::Engine& engine, EngineReport& report) {
    if (options_.min_gain <= 0) return {};
    DeviceOptions device;
    device.team = std::make_shared<SharedTeam>(options_.threads);
    const auto executable = backend_.load(engine, input_.weights, device);
    const auto graph = ir::clone(*segment.graph);
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) graph->parameters[i]->outputs[0].shape = measured_type(plan.inputs[i]).shape;
    const std::string key = fmt::format("segment {:016x} {}", structure_hash(plan), options_.threads);
    const auto stamp = backend_.capabilities().stamp;
    const auto native = cache_.find(stamp, key + " native");
    const auto fast = cache_.find(stamp, key + " engine");
    SegmentTimes times{native.value_or(0), fast.value_or(0), {}};
    if (!native || !fast) {
      times = measure_segment(*graph, *executable, input_.weights, input_.module, {}, kMeasureSeconds);
      if (!times.problem.empty()) {
        report_.notes.push_back(fmt::format("{}: kept without a measurement: {}", plan.name, times.problem));
        return {};
      }
      cache_.insert(stamp, key + " native", times.native_seconds);
      cache_.insert(stamp, key + " engine", times.engine_seconds);
    }
    report.native_ms = times.native_seconds * 1e3;
    report.engine_ms = times.engine_seconds * 1e3;
    if (times.native_seconds < times.engine_seconds * options_.min_gain) {
      return fmt::format("its engine was measured at {:.4g} ms, native execution at {:.4g} ms", report.engine_ms, report.native_ms);
    }
    return {};
  }

  std::uint64_t structure_hash(const partition::SegmentPlan& plan) const {
    std::uint64_t hash = 1469598103934665603ull;
    const auto mix = [&](std::string_view text) {
      for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    };
    for (const ir::Node* node : plan.nodes) {
      mix(node->origin.op_type);
      for (const ir::Value& input : node->inputs) mix(measured_type(input).to_string());
    }
    return hash;
  }

  void report_natives() {
    count_native_flops(*input_.module.main);
    for (const ir::Graph* function : partition_.functions) count_native_flops(*function);
    add_native_nodes(partition_, report_);
    report_.nodes = converted_nodes(input_.module, partition_);
    for (const EngineReport& engine : report_.engines) {
      report_.converted_nodes += engine.nodes;
      report_.engine_flops += engine.flops;
      report_.total_flops += engine.flops;
    }
  }

  // Nodes without a reason are in an engine, or constant, which nothing computes in a run. Functions count where they were divided.
  void count_native_flops(const ir::Graph& graph) {
    for (const auto& node : graph.nodes()) {
      if (!partition_.native_reasons.contains(node.get()) || partition_.callers.contains(node.get())) continue;
      report_.total_flops += work_->runs(graph) * work_->of_node(*node);
    }
  }

  void write(const std::string& output) {
    step("writing", 0.96);
    std::vector<exporter::BuiltSegment> built;
    std::map<std::string, std::string> bytes;  // by engine
    for (const partition::SegmentPlan& plan : partition_.segments) {
      const std::string& engine = engine_of_.at(plan.name);
      const auto [it, fresh] = bytes.try_emplace(engine);
      if (fresh) it->second = plan::serialize(engines_.at(engine));
      built.push_back({&plan, engine, exporter::identity_of(engine, it->second), &it->second});
    }
    exporter::ExportOptions options;
    options.meta_graph = input_.meta_graph;
    options.precision = options_.precision;
    options.signature_keys = options_.signature_keys;
    options.replace = options_.force;
    const saved::WriteReport written = exporter::export_model(input_.model, input_.module, partition_, built, output, options);
    for (const std::string& name : written.dropped) report_.notes.push_back("not carried over: " + name);
  }

  const Input& input_;
  Backend& backend_;
  const ConvertOptions& options_;
  Precision precision_;
  plan::TimingCache cache_;
  partition::Partition partition_;
  std::unique_ptr<ir::Graph> measured_;
  std::map<std::string, std::unique_ptr<ir::Graph>> measured_functions_;
  MeasuredNodes measured_of_;
  partition::TripCounts trips_;
  std::unique_ptr<Work> work_;
  std::map<std::string, plan::Engine> engines_;
  std::map<std::string, std::string> engine_of_;  // the segment's name -> its engine's
  std::multimap<std::uint64_t, Decided> decided_;  // by kind
  ConvertReport report_;
};

}  // namespace

ConvertReport convert(const Input& input, Backend& backend, const std::string& output, const ConvertOptions& options) {
  return Converter(input, backend, options).run(output);
}

}  // namespace tenon::build
