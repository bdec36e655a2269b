#include "export/export.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "export/node_writer.h"
#include "ops/tensorflow_ops.h"

namespace tenon::exporter {
namespace {

using saved::AttrValue;

constexpr const char* kAssetPrefix = "trt-serialized-engine.";
constexpr const char* kInitSignature = "__saved_model_init_op";
constexpr const char* kMainOp = "saved_model_main_op";

saved::PartialShape to_saved(const PartialShape& shape) {
  saved::PartialShape result;
  result.known_rank = shape.known_rank();
  if (shape.known_rank()) {
    for (Dim dim : shape.dims()) result.dims.push_back(dim.known() ? dim.size() : -1);
  }
  return result;
}

template <class Values, class Get>
AttrValue list_of_types(const Values& values, Get get) {
  saved::AttrList list;
  for (const auto& value : values) list.types.push_back(get(value).dtype);
  return AttrValue::of(std::move(list));
}

template <class Values, class Get>
AttrValue list_of_shapes(const Values& values, Get get) {
  saved::AttrList list;
  for (const auto& value : values) list.shapes.push_back(to_saved(get(value).shape));
  return AttrValue::of(std::move(list));
}

const ir::ValueType& type_of(const ir::Value& value) { return value.node->outputs.at(static_cast<std::size_t>(value.index)); }

class Exporter {
 public:
  Exporter(const saved::Model& model, const ir::Module& module, const std::vector<BuiltSegment>& segments, const ExportOptions& options)
      : model_(model), meta_graph_(model.meta_graphs.at(options.meta_graph)), module_(module), segments_(segments), options_(options) {
    for (const BuiltSegment& segment : segments) {
      for (const ir::Node* node : segment.plan->nodes) inside_[node] = segment.plan;
      for (std::size_t i = 0; i < segment.plan->outputs.size(); ++i) {
        engine_output_[segment.plan->outputs[i]] = {segment.plan, static_cast<int>(i)};
      }
    }
  }

  saved::WriteReport write(const std::filesystem::path& output) {
    find_kept();
    write_main_graph();
    write_functions();
    write_engines();
    saved::MetaGraphEdit edit;
    edit.meta_graph = options_.meta_graph;
    edit.nodes = std::move(nodes_);
    edit.functions = std::move(functions_);
    edit.signatures = signatures();
    edit.assets = std::move(assets_);
    if (!init_op_.empty()) {
      saved::Collection main_op;
      main_op.name = kMainOp;
      main_op.node_list = {init_op_};
      edit.collections.push_back(std::move(main_op));
      saved::Collection legacy;  // emptied: the new main op runs what it named
      legacy.name = "legacy_init_op";
      if (meta_graph_.find_collection(legacy.name) != nullptr) edit.collections.push_back(std::move(legacy));
    }
    edit.drop_object_graph = true;
    saved::WriteOptions write_options;
    write_options.edits.push_back(std::move(edit));
    write_options.assets = std::move(contents_);
    write_options.replace = options_.replace;
    return saved::write(model_, output, write_options);
  }

 private:
  // Everything stays except what engines compute and constants that only engines needed.
  void find_kept() {
    std::unordered_set<const ir::Node*> constants;
    for (const BuiltSegment& segment : segments_) constants.insert(segment.plan->constants.begin(), segment.plan->constants.end());
    const ir::Uses uses(*module_.main);
    std::unordered_set<const ir::Node*> pinned;
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& output : signature.outputs) pinned.insert(output.value.node);
    }
    for (const ir::Asset& asset : module_.assets) pinned.insert(asset.value.node);
    for (const saved::Collection& collection : meta_graph_.collections) {
      for (const std::string& name : collection.node_list) pinned.insert(module_.main->find(name.substr(0, name.find(':'))));
    }
    const auto order = module_.main->topological_order();
    for (auto it = order.rbegin(); it != order.rend(); ++it) {  // consumers first
      const ir::Node* node = *it;
      if (inside_.contains(node)) continue;
      if (constants.contains(node) && !pinned.contains(node)) {
        bool needed = !uses.control_of(node).empty() &&
                      std::any_of(uses.control_of(node).begin(), uses.control_of(node).end(),
                                  [&](const ir::Node* n) { return kept_.contains(n) || inside_.contains(n); });
        for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) {
          for (const ir::Uses::Use& use : uses.of({const_cast<ir::Node*>(node), i})) {
            needed |= use.consumer != nullptr && kept_.contains(use.consumer);
          }
        }
        if (!needed) continue;
      }
      kept_.insert(node);
    }
    // What no signature needs may read values that exist only inside an engine now; it goes, and what reads it.
    for (const ir::Node* node : order) {
      if (!kept_.contains(node)) continue;
      const bool readable = std::all_of(node->inputs.begin(), node->inputs.end(), [&](const ir::Value& input) {
        return kept_.contains(input.node) || engine_output_.contains(input);
      });
      if (!readable) kept_.erase(node);
    }
  }

  // What a value is called outside its segment.
  std::string outside_name(const ir::Value& value) const {
    const auto engine = engine_output_.find(value);
    if (engine != engine_output_.end()) {
      const auto& [plan, index] = engine->second;
      return index == 0 ? plan->name : plan->name + ":" + std::to_string(index);
    }
    return main_graph_name(value);
  }

  void write_main_graph() {
    for (const auto& node : module_.main->nodes()) {
      if (!kept_.contains(node.get())) continue;
      saved::NodeDef def = write_node(*node, [&](const ir::Value& value) { return outside_name(value); });
      // A control edge from inside a segment becomes one from its engine; from a constant that is gone it means nothing.
      bool changed = false;
      std::vector<std::string> inputs;
      for (const std::string& input : def.inputs) {
        const ir::Node* control = input.starts_with('^') ? module_.main->find(input.substr(1)) : nullptr;
        const auto segment = control ? inside_.find(control) : inside_.end();
        if (segment != inside_.end()) {
          inputs.push_back("^" + segment->second->name);
          changed = true;
        } else if (control != nullptr && !kept_.contains(control)) {
          changed = true;
        } else {
          inputs.push_back(input);
        }
      }
      if (changed) {
        def = def.edited();
        def.inputs = std::move(inputs);
      }
      nodes_.push_back(std::move(def));
    }
    for (const BuiltSegment& segment : segments_) {
      nodes_.push_back(engine_node(segment));
      add_output_aliases(*segment.plan);
    }
  }

  saved::NodeDef engine_node(const BuiltSegment& segment) const {
    const partition::SegmentPlan& plan = *segment.plan;
    const auto type = [](const ir::Value& value) -> const ir::ValueType& { return type_of(value); };
    saved::NodeDef def;
    def.name = plan.name;
    def.op = "TRTEngineOp";
    for (const ir::Value& input : plan.inputs) def.inputs.push_back(outside_name(input));
    std::set<std::string> controls;
    for (const ir::Node* node : plan.nodes) {
      for (const ir::Node* control : node->control_inputs) {
        const auto other = inside_.find(control);
        if (other == inside_.end() && kept_.contains(control)) controls.insert("^" + control->name);
        if (other != inside_.end() && other->second != segment.plan) controls.insert("^" + other->second->name);
      }
    }
    def.inputs.insert(def.inputs.end(), controls.begin(), controls.end());
    const auto set = [&](std::string_view name, AttrValue value) { saved::set_attr(def.attrs, name, std::move(value)); };
    set("InT", list_of_types(plan.inputs, type));
    set("OutT", list_of_types(plan.outputs, type));
    set("input_shapes", list_of_shapes(plan.inputs, type));
    set("output_shapes", list_of_shapes(plan.outputs, type));
    set("segment_func", AttrValue::of(saved::FunctionRef{plan.name + "_native_segment", {}}));
    set("serialized_segment", AttrValue::of(std::string()));
    set("calibration_data", AttrValue::of(std::string()));
    set("precision_mode", AttrValue::of(options_.precision));
    set("profile_strategy", AttrValue::of(std::string()));
    set("static_engine", AttrValue::of(false));
    set("use_calibration", AttrValue::of(false));
    set("use_explicit_precision", AttrValue::of(false));
    set("max_batch_size", AttrValue::of(std::int64_t{1}));
    set("max_cached_engines_count", AttrValue::of(std::int64_t{options_.maximum_cached_engines}));
    set("workspace_size_bytes", AttrValue::of(options_.max_workspace_size_bytes));
    set("_use_implicit_batch", AttrValue::of(false));
    set("_allow_build_at_runtime", AttrValue::of(true));
    set("_tenon_engine", AttrValue::of(stored(*segment.engine).identity));
    return def;
  }

  // An engine's bytes, and its name with their hash: two models' engines of one name are told apart by it.
  struct Stored {
    std::string bytes, identity;
  };

  const Stored& stored(const plan::Engine& engine) const {
    Stored& stored = stored_[engine.name];
    if (stored.bytes.empty()) {
      stored.bytes = plan::serialize(engine);
      stored.identity = fmt::format("{}:{:016x}", engine.name, hash64(stored.bytes));
    }
    return stored;
  }

  // A signature's output that an engine computes keeps its tensor name through an identity of the original node's name.
  void add_output_aliases(const partition::SegmentPlan& plan) {
    std::set<std::string> done;
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& output : signature.outputs) {
        const auto segment = inside_.find(output.value.node);
        if (segment == inside_.end() || segment->second != &plan || !done.insert(output.value.node->name).second) continue;
        add_alias(*output.value.node);
      }
    }
  }

  void add_alias(ir::Node& node) {
    saved::NodeDef def;
    def.name = node.name;
    def.op = "IdentityN";
    saved::AttrList types;
    std::string last;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      const auto engine = engine_output_.find(node.output(i));
      if (engine != engine_output_.end()) last = outside_name(node.output(i));
    }
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      // Outputs that nobody outside reads have no tensor; any tensor of an engine stands in to keep the numbering.
      const bool has = engine_output_.contains(node.output(i));
      def.inputs.push_back(has ? outside_name(node.output(i)) : last);
      types.types.push_back(has ? node.outputs[static_cast<std::size_t>(i)].dtype : alias_type(node));
    }
    saved::set_attr(def.attrs, "T", AttrValue::of(std::move(types)));
    nodes_.push_back(std::move(def));
  }

  DataType alias_type(ir::Node& node) const {
    DataType dtype = DataType::kInvalid;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      if (engine_output_.contains(node.output(i))) dtype = node.outputs[static_cast<std::size_t>(i)].dtype;
    }
    return dtype;
  }

  // The library: functions that the written nodes still name, and the native segments.
  void write_functions() {
    for (const BuiltSegment& segment : segments_) native_segments_.push_back(native_segment(*segment.plan));
    std::set<std::string> named;
    std::vector<std::string> work;
    const auto name_function = [&](const std::string& name) {
      if (named.insert(name).second) work.push_back(name);
    };
    for (const saved::NodeDef& node : nodes_) collect_functions(node.attrs, name_function);
    for (const saved::FunctionDef& function : native_segments_) {
      for (const saved::NodeDef& node : function.nodes) collect_functions(node.attrs, name_function);
    }
    while (!work.empty()) {
      const std::string name = work.back();
      work.pop_back();
      const saved::FunctionDef* function = meta_graph_.find_function(name);
      if (function == nullptr) continue;
      for (const saved::NodeDef& node : function->nodes) collect_functions(node.attrs, name_function);
    }
    for (const saved::FunctionDef& function : meta_graph_.graph.functions) {
      if (named.contains(function.name)) functions_.push_back(function);
    }
    for (saved::FunctionDef& function : native_segments_) functions_.push_back(std::move(function));
  }

  template <class F>
  static void collect_functions(const saved::AttrMap& attrs, F&& f) {
    for (const auto& [name, value] : attrs) {
      if (const auto* one = std::get_if<std::shared_ptr<const saved::FunctionRef>>(&value.value)) f((*one)->name);
      if (const auto* list = std::get_if<std::shared_ptr<const saved::AttrList>>(&value.value)) {
        for (const saved::FunctionRef& ref : (*list)->functions) f(ref.name);
      }
    }
  }

  saved::FunctionDef native_segment(const partition::SegmentPlan& plan) const {
    saved::FunctionDef function;
    function.name = plan.name + "_native_segment";
    std::unordered_map<ir::Value, std::string, ir::ValueHash> arguments;
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
      saved::ArgDef arg;
      arg.name = "TensorRTInputPH_" + std::to_string(i);
      arg.dtype = type_of(plan.inputs[i]).dtype;
      arguments[plan.inputs[i]] = arg.name;
      function.input_args.push_back(std::move(arg));
    }
    const ValueName inner_name = [&](const ir::Value& value) -> std::string {
      const auto argument = arguments.find(value);
      if (argument != arguments.end()) return argument->second;
      return value.node->name + ":" + result_name(value);
    };
    const std::unordered_set<const ir::Node*> inside = [&] {
      std::unordered_set<const ir::Node*> set(plan.nodes.begin(), plan.nodes.end());
      set.insert(plan.constants.begin(), plan.constants.end());
      return set;
    }();
    const auto add = [&](const ir::Node* node) {
      saved::NodeDef def = write_node(*node, inner_name).edited();
      std::erase_if(def.inputs, [&](const std::string& input) {
        return input.starts_with('^') && !inside.contains(module_.main->find(input.substr(1)));
      });
      function.nodes.push_back(std::move(def));
    };
    for (const ir::Node* node : plan.constants) add(node);
    for (const ir::Node* node : plan.nodes) add(node);
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      saved::ArgDef arg;
      arg.name = "TensorRTOutputPH_" + std::to_string(i);
      arg.dtype = type_of(plan.outputs[i]).dtype;
      function.ret.emplace_back(arg.name, inner_name(plan.outputs[i]));
      function.output_args.push_back(std::move(arg));
    }
    return function;
  }

  static std::string result_name(const ir::Value& value) {
    const std::string& op_type = value.node->origin.op_type;
    const ops::TensorflowOp* op = ops::TensorflowOp::find(op_type);
    ir::Attrs attrs = value.node->attrs;
    if (op_type == "IdentityN" && value.node->origin.node_def.empty()) {
      return "output:" + std::to_string(value.index);
    }
    const std::string name = op ? op->result_name(attrs, value.index) : std::string();
    if (name.empty()) {
      fail(ErrorCode::kInternal, "{}: result {} has no name in TensorFlow's op table; please report it", value.node->describe(),
           value.index);
    }
    return name;
  }

  // Engines become assets; an initializer hands each file to its resource, as TF-TRT does.
  void write_engines() {
    assets_ = meta_graph_.assets;
    if (segments_.empty()) {
      init_op_ = module_.init ? meta_graph_.init_op() : std::string();
      return;
    }
    saved::NodeDef init;
    init.name = unique_name("tenon_init");
    init.op = "NoOp";
    if (module_.init != nullptr) init.inputs.push_back("^" + meta_graph_.init_op());
    std::set<std::string> written;
    for (const BuiltSegment& segment : segments_) {
      const std::string& name = segment.engine->name;
      if (!written.insert(name).second) continue;
      const std::string file = kAssetPrefix + name;
      saved::NodeDef path;
      path.name = unique_name(name + "_file");
      path.op = "Const";
      saved::set_attr(path.attrs, "dtype", AttrValue::of(DataType::kString));
      saved::set_attr(path.attrs, "value", AttrValue::of(Tensor::scalar<std::string>(file)));
      saved::NodeDef handle;
      handle.name = unique_name(name + "_handle");
      handle.op = "CreateTRTResourceHandle";
      saved::set_attr(handle.attrs, "resource_name", AttrValue::of(stored(*segment.engine).identity));
      saved::NodeDef load;
      load.name = unique_name(name + "_load");
      load.op = "InitializeTRTResource";
      load.inputs = {handle.name, path.name};
      saved::set_attr(load.attrs, "max_cached_engines_count", AttrValue::of(std::int64_t{options_.maximum_cached_engines}));
      init.inputs.push_back("^" + load.name);
      saved::AssetFileDef asset;
      asset.tensor_name = path.name + ":0";
      asset.filename = file;
      assets_.push_back(std::move(asset));
      const std::string* bytes = &stored(*segment.engine).bytes;
      contents_.push_back({file, [bytes](FileWriter& writer) { writer.append(*bytes); }});
      nodes_.push_back(std::move(path));
      nodes_.push_back(std::move(handle));
      nodes_.push_back(std::move(load));
    }
    init_op_ = init.name;
    nodes_.push_back(std::move(init));
  }

  std::string unique_name(const std::string& wanted) const {
    std::string name = wanted;
    for (int i = 1; module_.main->find(name) != nullptr; ++i) name = wanted + "_" + std::to_string(i);
    return name;
  }

  std::vector<saved::SignatureDef> signatures() const {
    std::vector<saved::SignatureDef> kept;
    for (const saved::SignatureDef& signature : meta_graph_.signatures) {
      const auto& keys = options_.signature_keys;
      if (signature.key == kInitSignature) {
        continue;  // the collection names the initializer now, which runs the original one first
      }
      if (keys.empty() || saved::is_internal_signature(signature.key) ||
          std::find(keys.begin(), keys.end(), signature.key) != keys.end()) {
        kept.push_back(signature);
      }
    }
    return kept;
  }

  const saved::Model& model_;
  const saved::MetaGraph& meta_graph_;
  const ir::Module& module_;
  const std::vector<BuiltSegment>& segments_;
  const ExportOptions& options_;
  std::unordered_map<const ir::Node*, const partition::SegmentPlan*> inside_;
  std::unordered_map<ir::Value, std::pair<const partition::SegmentPlan*, int>, ir::ValueHash> engine_output_;
  std::unordered_set<const ir::Node*> kept_;
  mutable std::map<std::string, Stored> stored_;  // by the engine's name
  std::vector<saved::NodeDef> nodes_;
  std::vector<saved::FunctionDef> native_segments_;
  std::vector<saved::FunctionDef> functions_;
  std::vector<saved::AssetFileDef> assets_;
  std::vector<saved::AssetContent> contents_;
  std::string init_op_;
};

}  // namespace

saved::WriteReport export_model(const saved::Model& model, const ir::Module& module, const std::vector<BuiltSegment>& segments,
                                const std::filesystem::path& output, const ExportOptions& options) {
  return Exporter(model, module, segments, options).write(output);
}

}  // namespace tenon::exporter
