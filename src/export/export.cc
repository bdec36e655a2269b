#include "export/export.h"

#include <algorithm>
#include <map>
#include <protozero/pbf_reader.hpp>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "export/graph_writer.h"
#include "export/node_writer.h"

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

std::vector<const partition::SegmentPlan*> plans_of(const std::vector<BuiltSegment>& segments) {
  std::vector<const partition::SegmentPlan*> plans;
  for (const BuiltSegment& segment : segments) plans.push_back(segment.plan);
  return plans;
}

class Exporter {
 public:
  Exporter(const saved::Model& model, const ir::Module& module, const partition::Partition& partition,
           const std::vector<BuiltSegment>& segments, const ExportOptions& options)
      : model_(model),
        meta_graph_(model.meta_graphs.at(options.meta_graph)),
        module_(module),
        partition_(partition),
        segments_(segments),
        options_(options),
        index_(plans_of(segments)) {}

  saved::WriteReport write(const std::filesystem::path& output) {
    saved::WriteOptions write_options;
    write_options.edits.push_back(make_edit());
    write_options.assets = std::move(contents_);
    write_options.replace = options_.replace;
    write_options.drop_variables = options_.self_contained;
    write_options.only_edited = options_.only_this_meta_graph;
    return saved::write(model_, output, write_options);
  }

  std::string graph() {
    in_graph_ = true;
    // SavedModel.meta_graphs (2), MetaGraphDef.graph_def (2).
    const std::string model = saved::serialize(model_, {make_edit()});
    protozero::pbf_reader saved_model(model);
    TENON_CHECK(saved_model.next(2));
    protozero::pbf_reader meta_graph = saved_model.get_message();
    TENON_CHECK(meta_graph.next(2));
    return std::string(meta_graph.get_view());
  }

 private:
  saved::MetaGraphEdit make_edit() {
    name_changed_functions();
    write_main_graph();
    write_changed_functions();
    write_functions();
    if (!in_graph_) write_engines();
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
    if (options_.self_contained) drop_variables(edit);
    return edit;
  }

  // What tells loaders of variables.
  void drop_variables(saved::MetaGraphEdit& edit) const {
    edit.drop_saver = true;
    for (const saved::Collection& collection : meta_graph_.collections) {
      const auto is_it = [&](const saved::Collection& set) { return set.name == collection.name; };
      if (is_kept(collection) || std::ranges::any_of(edit.collections, is_it)) continue;
      saved::Collection dropped;
      dropped.name = collection.name;
      edit.collections.push_back(std::move(dropped));
    }
  }

  static bool is_kept(const saved::Collection& collection) {
    return collection.name == kMainOp || collection.name == "legacy_init_op" || collection.name == "saved_model_assets" ||
           collection.name == "table_initializer";
  }

  // What the kept signatures and the initializer need.
  std::unordered_set<const ir::Node*> needed() const {
    std::vector<const ir::Node*> work;
    for (const ir::Signature& signature : module_.signatures) {
      for (const auto* bindings : {&signature.inputs, &signature.outputs}) {
        for (const ir::Binding& binding : *bindings) work.push_back(binding.value.node);
      }
    }
    work.push_back(module_.init);
    for (const ir::Asset& asset : module_.assets) work.push_back(asset.value.node);
    std::unordered_set<const ir::Node*> result;
    while (!work.empty()) {
      const ir::Node* node = work.back();
      work.pop_back();
      if (node == nullptr || !result.insert(node).second) continue;
      for (const ir::Value& input : node->inputs) work.push_back(input.node);
      work.insert(work.end(), node->control_inputs.begin(), node->control_inputs.end());
    }
    return result;
  }

  // Functions that engines are in, or in functions that their nodes run, are written under new names: whatever else names them
  // keeps the original.
  void name_changed_functions() {
    std::unordered_set<const ir::Graph*> changed;
    for (const BuiltSegment& segment : segments_) {
      if (segment.plan->graph != module_.main.get()) changed.insert(segment.plan->graph);
    }
    for (std::size_t before = 0; before != changed.size();) {
      before = changed.size();
      for (const ir::Graph* function : partition_.functions) {
        for (const auto& node : function->nodes()) {
          if (!runs_natively(*node)) continue;
          for (const partition::Call& call : partition::calls_of(*node)) {
            if (changed.contains(partition::find_function(module_, call.function.name))) changed.insert(function);
          }
        }
      }
    }
    for (const ir::Graph* function : partition_.functions) {
      if (!changed.contains(function)) continue;
      std::string name = function->name() + "_tenon";
      for (int i = 1; meta_graph_.find_function(name) != nullptr; ++i) name = function->name() + "_tenon_" + std::to_string(i);
      new_names_[function->name()] = name;
    }
  }

  bool runs_natively(const ir::Node& node) const { return partition_.callers.contains(&node) && !index_.inside.contains(&node); }

  void write_main_graph() {
    std::unordered_set<const ir::Node*> pinned;
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& output : signature.outputs) pinned.insert(output.value.node);
    }
    for (const ir::Asset& asset : module_.assets) pinned.insert(asset.value.node);
    for (const saved::Collection& collection : meta_graph_.collections) {
      if (options_.self_contained && !is_kept(collection)) continue;
      for (const std::string& name : collection.node_list) pinned.insert(module_.main->find(name.substr(0, name.find(':'))));
      for (const std::string& message : collection.bytes_list) pin_variable(message, pinned);
    }
    std::unordered_set<const ir::Node*> only;
    if (options_.self_contained) {
      only = needed();
      only.insert(pinned.begin(), pinned.end());
    }
    const GraphWriter writer(*module_.main, false, index_, pinned, options_.self_contained ? &only : nullptr);
    nodes_ = written_nodes(*module_.main, writer);
    for (const BuiltSegment& segment : segments_) {
      if (segment.plan->graph == module_.main.get()) add_output_aliases(*segment.plan, writer);
    }
  }

  // A VariableDef names nodes: the variable (1), its initializer (2), how it is read (3), its first value (6). Loaders look them up.
  void pin_variable(std::string_view message, std::unordered_set<const ir::Node*>& pinned) const {
    try {
      for (protozero::pbf_reader fields(message.data(), message.size()); fields.next();) {
        const auto tag = fields.tag();
        const bool is_name = tag == 1 || tag == 2 || tag == 3 || tag == 6;
        if (!is_name || fields.wire_type() != protozero::pbf_wire_type::length_delimited) {
          fields.skip();
          continue;
        }
        const std::string name = fields.get_string();
        pinned.insert(module_.main->find(name.substr(0, name.find(':'))));
      }
    } catch (const protozero::exception&) {
      return;  // another kind of collection
    }
  }

  // The graph's nodes that stay, and its engines.
  std::vector<saved::NodeDef> written_nodes(const ir::Graph& graph, const GraphWriter& writer) const {
    std::vector<saved::NodeDef> nodes;
    for (auto& [node, def] : writer.nodes()) {
      if (runs_natively(*node)) rename_functions(*node, def);
      nodes.push_back(std::move(def));
    }
    for (const BuiltSegment& segment : segments_) {
      if (segment.plan->graph == &graph) nodes.push_back(engine_node(segment, writer));
    }
    return nodes;
  }

  void rename_functions(const ir::Node& node, saved::NodeDef& def) const {
    std::map<std::string_view, std::vector<saved::FunctionRef>> by_attribute;
    bool changed = false;
    for (const partition::Call& call : partition::calls_of(node)) {
      const auto it = new_names_.find(call.function.name);
      changed |= it != new_names_.end();
      by_attribute[call.attribute].push_back({it == new_names_.end() ? call.function.name : it->second, {}});
    }
    if (!changed) return;
    def = def.edited();
    for (auto& [attribute, functions] : by_attribute) {
      if (!node.is("case")) {
        saved::set_attr(def.attrs, attribute, AttrValue::of(std::move(functions.front())));
        continue;
      }
      saved::AttrList list;
      list.functions = std::move(functions);
      saved::set_attr(def.attrs, attribute, AttrValue::of(std::move(list)));
    }
  }

  void write_changed_functions() {
    for (const ir::Graph* graph : partition_.functions) {
      const auto name = new_names_.find(graph->name());
      if (name == new_names_.end()) continue;
      const saved::FunctionDef* original = meta_graph_.find_function(graph->name());
      if (original == nullptr) fail(ErrorCode::kInternal, "function \"{}\" has no source; please report it", graph->name());
      changed_functions_.push_back(changed_function(*graph, *original, name->second));
    }
  }

  saved::FunctionDef changed_function(const ir::Graph& graph, const saved::FunctionDef& original, const std::string& name) const {
    std::unordered_set<const ir::Node*> pinned;
    for (const ir::Value& output : graph.outputs) pinned.insert(output.node);
    for (const auto& [key, node] : original.control_ret) pinned.insert(graph.find(node));
    const GraphWriter writer(graph, true, index_, pinned);
    saved::FunctionDef function = original.edited();
    function.name = name;
    function.nodes = written_nodes(graph, writer);
    function.ret.clear();
    for (std::size_t i = 0; i < function.output_args.size(); ++i) {
      function.ret.emplace_back(function.output_args[i].name, writer.value_name(graph.outputs.at(i)));
    }
    for (auto& [key, node] : function.control_ret) {
      const ir::Node* target = graph.find(node);
      if (target != nullptr) node = writer.control_name(*target);
    }
    return function;
  }

  saved::NodeDef engine_node(const BuiltSegment& segment, const GraphWriter& writer) const {
    const partition::SegmentPlan& plan = *segment.plan;
    const auto type = [](const ir::Value& value) -> const ir::ValueType& { return type_of(value); };
    saved::NodeDef def;
    def.name = plan.name;
    def.op = "TRTEngineOp";
    def.inputs = writer.engine_inputs(plan);
    const auto set = [&](std::string_view name, AttrValue value) { saved::set_attr(def.attrs, name, std::move(value)); };
    set("InT", list_of_types(plan.inputs, type));
    set("OutT", list_of_types(plan.outputs, type));
    set("input_shapes", list_of_shapes(plan.inputs, type));
    set("output_shapes", list_of_shapes(plan.outputs, type));
    // Without the attribute, not with an empty name: loaders of TensorFlow look every name up.
    if (!options_.remove_native_segments) set("segment_func", AttrValue::of(saved::FunctionRef{plan.name + "_native_segment", {}}));
    const bool embedded = in_graph_ && segment.bytes != nullptr && !segment.bytes->empty();
    set("serialized_segment", AttrValue::of(embedded ? *segment.bytes : std::string()));
    set("calibration_data", AttrValue::of(std::string()));
    set("precision_mode", AttrValue::of(options_.precision));
    const bool profiles = options_.mode == ShapeMode::kProfiles;
    set("profile_strategy", AttrValue::of(std::string(profiles ? profile_strategy_name(options_.strategy) : "")));
    set("static_engine", AttrValue::of(embedded));
    set("use_calibration", AttrValue::of(options_.use_calibration));
    set("use_explicit_precision", AttrValue::of(false));
    set("max_batch_size", AttrValue::of(std::int64_t{1}));
    set("max_cached_engines_count", AttrValue::of(std::int64_t{options_.maximum_cached_engines}));
    set("workspace_size_bytes", AttrValue::of(options_.max_workspace_size_bytes));
    set("_use_implicit_batch", AttrValue::of(options_.mode == ShapeMode::kImplicitBatch));
    set("_allow_build_at_runtime", AttrValue::of(options_.allow_build_at_runtime));
    set("_tenon_engine", AttrValue::of(segment.identity));
    return def;
  }

  // A signature's output that an engine computes keeps its tensor name through an identity of the original node's name.
  void add_output_aliases(const partition::SegmentPlan& plan, const GraphWriter& writer) {
    std::set<std::string> done;
    for (const ir::Signature& signature : module_.signatures) {
      for (const ir::Binding& output : signature.outputs) {
        const auto segment = index_.inside.find(output.value.node);
        if (segment == index_.inside.end() || segment->second != &plan || !done.insert(output.value.node->name).second) continue;
        add_alias(*output.value.node, writer);
      }
    }
  }

  void add_alias(ir::Node& node, const GraphWriter& writer) {
    saved::NodeDef def;
    def.name = node.name;
    def.op = "IdentityN";
    saved::AttrList types;
    std::string last;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      if (index_.outputs.contains(node.output(i))) last = writer.value_name(node.output(i));
    }
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      // Outputs that nobody outside reads have no tensor; any tensor of an engine stands in to keep the numbering.
      const bool has = index_.outputs.contains(node.output(i));
      def.inputs.push_back(has ? writer.value_name(node.output(i)) : last);
      types.types.push_back(has ? node.outputs[static_cast<std::size_t>(i)].dtype : alias_type(node));
    }
    saved::set_attr(def.attrs, "T", AttrValue::of(std::move(types)));
    nodes_.push_back(std::move(def));
  }

  DataType alias_type(ir::Node& node) const {
    DataType dtype = DataType::kInvalid;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      if (index_.outputs.contains(node.output(i))) dtype = node.outputs[static_cast<std::size_t>(i)].dtype;
    }
    return dtype;
  }

  // The library: functions that the written nodes still name, and the native segments.
  void write_functions() {
    for (const BuiltSegment& segment : segments_) {
      if (!options_.remove_native_segments) native_segments_.push_back(native_segment(*segment.plan));
    }
    std::set<std::string> named;
    std::vector<std::string> work;
    const auto name_function = [&](const std::string& name) {
      if (named.insert(name).second) work.push_back(name);
    };
    for (const saved::NodeDef& node : nodes_) collect_functions(node, name_function);
    for (const auto* made : {&native_segments_, &changed_functions_}) {
      for (const saved::FunctionDef& function : *made) {
        for (const saved::NodeDef& node : function.nodes) collect_functions(node, name_function);
      }
    }
    while (!work.empty()) {
      const std::string name = work.back();
      work.pop_back();
      const saved::FunctionDef* function = meta_graph_.find_function(name);
      if (function == nullptr) continue;
      for (const saved::NodeDef& node : function->nodes) collect_functions(node, name_function);
    }
    for (const saved::FunctionDef& function : meta_graph_.graph.functions) {
      if (named.contains(function.name)) functions_.push_back(function);
    }
    for (auto* made : {&changed_functions_, &native_segments_}) {
      for (saved::FunctionDef& function : *made) functions_.push_back(std::move(function));
    }
  }

  // Names of functions that the node may call: those in its attributes, and its op (in TF1 graphs).
  template <class F>
  static void collect_functions(const saved::NodeDef& node, F&& f) {
    f(node.op);
    for (const auto& [name, value] : node.attrs) {
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
      return function_body_name(value);
    };
    const std::unordered_set<const ir::Node*> inside = [&] {
      std::unordered_set<const ir::Node*> set(plan.nodes.begin(), plan.nodes.end());
      set.insert(plan.constants.begin(), plan.constants.end());
      return set;
    }();
    const auto add = [&](const ir::Node* node) {
      saved::NodeDef def = write_node(*node, inner_name).edited();
      std::erase_if(def.inputs, [&](const std::string& input) {
        return input.starts_with('^') && !inside.contains(plan.graph->find(input.substr(1)));
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

  // Engines become assets; an initializer hands each file to its resource, as TF-TRT does.
  void write_engines() {
    assets_ = meta_graph_.assets;
    if (std::ranges::none_of(segments_, [](const BuiltSegment& segment) { return segment.bytes != nullptr; })) {
      init_op_ = module_.init ? meta_graph_.init_op() : std::string();
      return;
    }
    saved::NodeDef init;
    init.name = unique_name("tenon_init");
    init.op = "NoOp";
    if (module_.init != nullptr) init.inputs.push_back("^" + meta_graph_.init_op());
    std::set<std::string> written;
    for (const BuiltSegment& segment : segments_) {
      const std::string& name = segment.engine;
      if (segment.bytes == nullptr || !written.insert(name).second) continue;
      const std::string file = kAssetPrefix + name;
      saved::NodeDef path;
      path.name = unique_name(name + "_file");
      path.op = "Const";
      saved::set_attr(path.attrs, "dtype", AttrValue::of(DataType::kString));
      saved::set_attr(path.attrs, "value", AttrValue::of(Tensor::scalar<std::string>(file)));
      saved::NodeDef handle;
      handle.name = unique_name(name + "_handle");
      handle.op = "CreateTRTResourceHandle";
      saved::set_attr(handle.attrs, "resource_name", AttrValue::of(segment.identity));
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
      const std::string* bytes = segment.bytes;
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
  const partition::Partition& partition_;
  const std::vector<BuiltSegment>& segments_;
  const ExportOptions& options_;
  const SegmentIndex index_;
  std::map<std::string, std::string> new_names_;  // of changed functions, by their original name
  bool in_graph_ = false;  // the result is a GraphDef, which has no files
  std::vector<saved::NodeDef> nodes_;
  std::vector<saved::FunctionDef> native_segments_;
  std::vector<saved::FunctionDef> changed_functions_;
  std::vector<saved::FunctionDef> functions_;
  std::vector<saved::AssetFileDef> assets_;
  std::vector<saved::AssetContent> contents_;
  std::string init_op_;
};

}  // namespace

std::string identity_of(const std::string& engine, const std::string& bytes) { return fmt::format("{}:{:016x}", engine, hash64(bytes)); }

std::string export_graph(const saved::Model& model, const ir::Module& module, const partition::Partition& partition,
                         const std::vector<BuiltSegment>& segments, const ExportOptions& options) {
  return Exporter(model, module, partition, segments, options).graph();
}

saved::WriteReport export_model(const saved::Model& model, const ir::Module& module, const partition::Partition& partition,
                                const std::vector<BuiltSegment>& segments, const std::filesystem::path& output, const ExportOptions& options) {
  return Exporter(model, module, partition, segments, options).write(output);
}

}  // namespace tenon::exporter
